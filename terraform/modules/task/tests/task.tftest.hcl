mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mock" }
  }
}

variables {
  name               = "holdfast-test"
  service            = "api"
  region             = "eu-central-1"
  account_id         = "123456789012"
  image              = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/holdfast-test/holdfast@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  cpu                = 512
  memory             = 1024
  user               = "10001:10001"
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  log_retention_days = 14
}

run "a_container_is_hardened" {
  assert {
    condition = alltrue([
      for container in jsondecode(output.container_definitions) :
      container.readonlyRootFilesystem && container.user == "10001:10001" && container.linuxParameters.capabilities.drop == ["ALL"]
    ])
    error_message = "A container must have a read-only root, an ordinary user and no capability."
  }

  assert {
    condition     = !can(jsondecode(output.container_definitions)[0].healthCheck) && !can(jsondecode(output.container_definitions)[0].command)
    error_message = "What is not given must not be there: the image says it."
  }

  assert {
    condition     = length(aws_iam_role_policy.task) == 0
    error_message = "A task to which nothing is permitted must be permitted nothing."
  }
}

run "an_image_in_ecr_may_be_pulled_and_no_other" {
  assert {
    condition     = strcontains(aws_iam_role_policy.execution.policy, "arn:aws:ecr:eu-central-1:123456789012:repository/holdfast-test/holdfast")
    error_message = "The execution role must name the repository."
  }
}

run "secrets_are_read_by_arn_with_the_key" {
  variables {
    secrets = { HOLDFAST_SIGNING_KEY = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:holdfast-test/signing-key" }
  }

  assert {
    condition     = strcontains(aws_iam_role_policy.execution.policy, "secret:holdfast-test/signing-key") && strcontains(aws_iam_role_policy.execution.policy, "kms:Decrypt")
    error_message = "The execution role must read the secret and use its key."
  }
}

run "a_folder_is_mounted_through_its_access_point" {
  variables {
    files = {
      path             = "/data"
      file_system_id   = "fs-00000000"
      file_system_arn  = "arn:aws:elasticfilesystem:eu-central-1:123456789012:file-system/fs-00000000"
      access_point_id  = "fsap-00000000"
      access_point_arn = "arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point/fsap-00000000"
    }
  }

  assert {
    condition     = one(one(aws_ecs_task_definition.this.volume).efs_volume_configuration).transit_encryption == "ENABLED"
    error_message = "Files must travel encrypted."
  }

  assert {
    condition     = strcontains(aws_iam_role_policy.task["files"].policy, "fsap-00000000")
    error_message = "The task must mount its own access point and no other."
  }
}

run "refuses_a_tag" {
  command = plan

  variables {
    image = "redis:8.0.6"
  }

  expect_failures = [var.image]
}

run "refuses_root" {
  command = plan

  variables {
    user = "0:0"
  }

  expect_failures = [var.user]
}

run "refuses_what_fargate_would" {
  command = plan

  variables {
    cpu          = 512
    memory       = 512
    stop_timeout = 121
  }

  expect_failures = [var.memory, var.stop_timeout]
}

run "refuses_a_secret_in_clear_text" {
  command = plan

  variables {
    secrets = { HOLDFAST_SIGNING_KEY = "hunter2" }
  }

  expect_failures = [var.secrets]
}

run "refuses_everything_on_everything" {
  command = plan

  variables {
    permissions = { all = { actions = ["*"], resources = ["*"] } }
  }

  expect_failures = [var.permissions]
}
