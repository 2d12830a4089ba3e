mock_provider "aws" {
  mock_resource "aws_mq_configuration" {
    defaults = { latest_revision = 1 }
  }

  mock_resource "aws_mq_broker" {
    defaults = {
      arn       = "arn:aws:mq:eu-central-1:123456789012:broker:holdfast-test:b-1"
      instances = [{ console_url = "https://b-1.mq.example", ip_address = "", endpoints = ["amqps://b-1.mq.example:5671"] }]
    }
  }
}

variables {
  name                      = "holdfast-test"
  vpc_id                    = "vpc-1"
  subnet_ids                = { a = "subnet-a", b = "subnet-b", c = "subnet-c" }
  client_security_group_ids = { api = "sg-api", worker-webhook = "sg-webhook" }
  kms_key_arn               = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  initial_password          = "a-first-password"
}

run "a_private_cluster_in_every_zone" {
  assert {
    condition     = aws_mq_broker.this.deployment_mode == "CLUSTER_MULTI_AZ" && length(aws_mq_broker.this.subnet_ids) == 3 && !aws_mq_broker.this.publicly_accessible
    error_message = "The default must be a private cluster in all three zones."
  }

  assert {
    condition     = output.host == "b-1.mq.example"
    error_message = "host must be the name alone, without scheme and port."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.amqps) == 2 && length(aws_vpc_security_group_ingress_rule.management) == 2
    error_message = "Each client must reach AMQPS and the management API."
  }
}

run "a_single_node_has_one_subnet" {
  command = plan

  variables {
    deployment_mode = "SINGLE_INSTANCE"
  }

  assert {
    condition     = length(aws_mq_broker.this.subnet_ids) == 1
    error_message = "Amazon MQ takes one subnet for a single node."
  }
}

run "refuses_a_cluster_in_one_zone" {
  command = plan

  variables {
    subnet_ids = { a = "subnet-a" }
  }

  expect_failures = [aws_mq_broker.this]
}

run "refuses_a_rabbitmq_that_is_too_old" {
  command = plan

  variables {
    engine_version = "3.13"
  }

  expect_failures = [var.engine_version]
}

run "refuses_a_node_that_rabbitmq_4_does_not_run_on" {
  command = plan

  variables {
    instance_type = "mq.m5.large"
  }

  expect_failures = [var.instance_type]
}

run "refuses_another_mode" {
  command = plan

  variables {
    deployment_mode = "ACTIVE_STANDBY_MULTI_AZ"
  }

  expect_failures = [var.deployment_mode]
}

run "refuses_a_password_that_amazon_mq_would" {
  command = plan

  variables {
    initial_password = "with,a:comma=and more"
  }

  expect_failures = [var.initial_password]
}

run "refuses_a_day_that_is_none" {
  command = plan

  variables {
    maintenance = { day = "Tuesday", time = "04:00" }
  }

  expect_failures = [var.maintenance]
}

run "refuses_a_name_that_amazon_mq_would" {
  command = plan

  variables {
    name = "holdfast test"
  }

  expect_failures = [var.name]
}
