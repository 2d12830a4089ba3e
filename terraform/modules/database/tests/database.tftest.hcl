mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/monitoring" }
  }
}

variables {
  name                      = "holdfast-test"
  vpc_id                    = "vpc-1"
  subnet_ids                = { a = "subnet-a", b = "subnet-b" }
  client_security_group_ids = { api = "sg-api" }
  kms_key_arn               = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  password                  = "a-password"
}

run "it_cannot_be_lost_by_accident" {
  command = plan

  assert {
    condition     = aws_db_instance.this.deletion_protection && !aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.final_snapshot_identifier == "holdfast-test-final"
    error_message = "The default must refuse to be deleted, and leave a last snapshot."
  }

  assert {
    condition     = aws_db_instance.this.multi_az && aws_db_instance.this.backup_retention_period >= 7 && aws_db_instance.this.storage_encrypted
    error_message = "The default must have a standby, backups and encryption."
  }

  assert {
    condition     = one([for parameter in aws_db_parameter_group.this.parameter : parameter.value if parameter.name == "rds.force_ssl"]) == "1"
    error_message = "Connections without TLS must be refused."
  }

  assert {
    condition     = aws_db_instance.this.password == null
    error_message = "The password must go through the write-only argument."
  }
}

run "one_that_comes_and_goes_leaves_no_snapshot" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = aws_db_instance.this.skip_final_snapshot && aws_db_instance.this.final_snapshot_identifier == null
    error_message = "Without protection no snapshot may be in the way of the next one."
  }
}

run "refuses_one_zone" {
  command = plan

  variables {
    subnet_ids = { a = "subnet-a" }
  }

  expect_failures = [var.subnet_ids]
}

run "refuses_a_minor_version" {
  command = plan

  variables {
    engine_version = "18.1"
  }

  expect_failures = [var.engine_version]
}

run "refuses_a_class_of_another_service" {
  command = plan

  variables {
    instance_class = "cache.m7g.large"
  }

  expect_failures = [var.instance_class]
}

run "refuses_a_disk_that_gp3_would" {
  command = plan

  variables {
    storage_gib = 10
  }

  expect_failures = [var.storage_gib]
}

run "refuses_a_disk_that_cannot_grow" {
  command = plan

  variables {
    storage_limit_gib = 100
  }

  expect_failures = [var.storage_limit_gib]
}

run "refuses_to_go_without_backups" {
  command = plan

  variables {
    backup_days = 0
  }

  expect_failures = [var.backup_days]
}

run "refuses_a_name_that_rds_would" {
  command = plan

  variables {
    name = "9holdfast"
  }

  expect_failures = [var.name]
}
