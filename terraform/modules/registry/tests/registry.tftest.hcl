mock_provider "aws" {}

variables {
  name         = "holdfast-test"
  repositories = ["holdfast", "grafana"]
  kms_key_arn  = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}

run "a_repository_for_each_image" {
  command = plan

  assert {
    condition     = toset([for repository in aws_ecr_repository.this : repository.name]) == toset(["holdfast-test/holdfast", "holdfast-test/grafana"])
    error_message = "Each image must have a repository below the name of the environment."
  }

  assert {
    condition     = alltrue([for repository in aws_ecr_repository.this : repository.image_tag_mutability == "IMMUTABLE" && !repository.force_delete])
    error_message = "Tags must not move, and images must survive a destroy."
  }
}

run "refuses_a_name_that_ecr_would" {
  command = plan

  variables {
    name = "Holdfast"
  }

  expect_failures = [var.name]
}

run "refuses_to_have_nothing" {
  command = plan

  variables {
    repositories = []
  }

  expect_failures = [var.repositories]
}

run "refuses_to_keep_too_little_for_a_rollback" {
  command = plan

  variables {
    keep_images = 2
  }

  expect_failures = [var.keep_images]
}

run "refuses_to_remove_at_once" {
  command = plan

  variables {
    untagged_days = 0
  }

  expect_failures = [var.untagged_days]
}
