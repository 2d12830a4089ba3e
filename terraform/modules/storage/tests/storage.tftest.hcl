mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::holdfast-test-artifacts" }
  }

  mock_resource "aws_efs_file_system" {
    defaults = { arn = "arn:aws:elasticfilesystem:eu-central-1:123456789012:file-system/fs-1" }
  }
}

variables {
  name        = "holdfast-test"
  bucket      = "holdfast-test-artifacts"
  kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}

run "a_bucket_alone" {
  assert {
    condition     = length(aws_efs_file_system.this) == 0 && output.file_system_id == null && length(output.access_point_ids) == 0
    error_message = "Without file_systems there must be no file system."
  }

  assert {
    condition     = length(aws_s3_bucket_logging.artifacts) == 0
    error_message = "Without a bucket for it there must be no access log."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.artifacts.block_public_policy && aws_s3_bucket_versioning.artifacts.versioning_configuration[0].status == "Enabled"
    error_message = "The bucket must be closed and versioned."
  }
}

run "files_for_two_services" {
  variables {
    vpc_id                    = "vpc-1"
    subnet_ids                = { a = "subnet-a", b = "subnet-b" }
    client_security_group_ids = { prometheus = "sg-prometheus", grafana = "sg-grafana" }
    file_systems              = { prometheus = { uid = 65534, gid = 65534 }, grafana = { uid = 472, gid = 472 } }
    access_log_bucket         = "holdfast-test-logs"
  }

  assert {
    condition     = length(aws_efs_access_point.this) == 2 && length(aws_efs_mount_target.this) == 2 && length(aws_vpc_security_group_ingress_rule.nfs) == 2
    error_message = "Each service must have an access point, each zone a mount target, each client a rule."
  }

  assert {
    condition     = aws_efs_access_point.this["grafana"].posix_user[0].uid == 472 && aws_efs_access_point.this["grafana"].root_directory[0].path == "/grafana"
    error_message = "A service must see its own files, as its own user."
  }

  assert {
    condition     = length(aws_s3_bucket_logging.artifacts) == 1
    error_message = "The access log must be kept where there is a bucket for it."
  }
}

run "refuses_root" {
  command = plan

  variables {
    vpc_id       = "vpc-1"
    subnet_ids   = { a = "subnet-a" }
    file_systems = { redis = { uid = 0, gid = 0 } }
  }

  expect_failures = [var.file_systems]
}

run "refuses_files_that_nothing_could_mount" {
  command = plan

  variables {
    file_systems = { redis = { uid = 999, gid = 999 } }
  }

  expect_failures = [var.vpc_id, var.subnet_ids]
}

run "refuses_a_bucket_name_with_dots" {
  command = plan

  variables {
    bucket = "artifacts.example.com"
  }

  expect_failures = [var.bucket]
}

run "refuses_to_forget_at_once" {
  command = plan

  variables {
    undelete_days = 0
  }

  expect_failures = [var.undelete_days]
}
