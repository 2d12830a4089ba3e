mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_region" {
    defaults = { name = "eu-central-1" }
  }
}

variables {
  name               = "holdfast-test"
  cluster_name       = "holdfast-test"
  services           = { api = 1, worker-webhook = 0 }
  metric_namespace   = "Holdfast/holdfast-test"
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  monthly_budget_usd = 100
}

run "everything_on_fargate" {
  command = plan

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.no_task)) == toset(["api"])
    error_message = "A service that may sleep must not be missed."
  }

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.crash_loop)) == toset(["api", "worker-webhook"])
    error_message = "Each service must have an alarm for its crash loops."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.broker_unreachable) + length(aws_cloudwatch_metric_alarm.database_disk) + length(aws_cloudwatch_metric_alarm.cache_memory) + length(aws_cloudwatch_metric_alarm.no_healthy_target) == 0
    error_message = "What AWS does not manage has no metrics of AWS."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.no_data.treat_missing_data == "breaching"
    error_message = "Silence must be the alarm."
  }
}

run "what_aws_manages" {
  command = plan

  variables {
    broker_name          = "holdfast-test"
    database_instance_id = "holdfast-test"
    cache_member_ids     = ["holdfast-test-001", "holdfast-test-002"]
    load_balancer        = { suffix = "app/holdfast/1", target_group_suffix = "targetgroup/api/1" }
    emails               = ["ops@example.com"]
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.broker_unreachable) + length(aws_cloudwatch_metric_alarm.database_disk) + length(aws_cloudwatch_metric_alarm.cache_memory) + length(aws_cloudwatch_metric_alarm.no_healthy_target) == 5
    error_message = "Broker, database, both nodes of the cache and the load balancer must be watched."
  }

  assert {
    condition     = length(aws_sns_topic_subscription.email) == 1
    error_message = "Somebody must be told."
  }
}

run "refuses_to_watch_nothing" {
  command = plan

  variables {
    services = {}
  }

  expect_failures = [var.services]
}

run "refuses_a_budget_of_nothing" {
  command = plan

  variables {
    monthly_budget_usd = 0
  }

  expect_failures = [var.monthly_budget_usd]
}

run "refuses_an_address_that_is_none" {
  command = plan

  variables {
    emails = ["ops"]
  }

  expect_failures = [var.emails]
}

run "refuses_a_retention_that_cloudwatch_does_not_offer" {
  command = plan

  variables {
    log_retention_days = 45
  }

  expect_failures = [var.log_retention_days]
}

run "refuses_a_name_in_capitals" {
  command = plan

  variables {
    name = "Holdfast"
  }

  expect_failures = [var.name]
}
