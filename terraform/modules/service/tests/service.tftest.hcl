mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mock" }
  }
  mock_resource "aws_ecs_task_definition" {
    defaults = { arn = "arn:aws:ecs:eu-central-1:123456789012:task-definition/mock:1" }
  }
  mock_resource "aws_service_discovery_service" {
    defaults = { arn = "arn:aws:servicediscovery:eu-central-1:123456789012:service/srv-mock" }
  }
}

variables {
  name               = "holdfast-test"
  service            = "redis"
  region             = "eu-central-1"
  account_id         = "123456789012"
  cluster_arn        = "arn:aws:ecs:eu-central-1:123456789012:cluster/holdfast-test"
  namespace_id       = "ns-mock"
  subnet_ids         = ["subnet-a", "subnet-b"]
  security_group_id  = "sg-mock"
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  log_retention_days = 14

  container = {
    image        = "redis@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    cpu          = 256
    memory       = 512
    user         = "999:999"
    ports        = { redis = 6379 }
    health_check = { command = ["CMD-SHELL", "redis-cli ping"] }
  }
}

run "a_deployment_that_fails_is_rolled_back" {
  command = plan

  assert {
    condition     = aws_ecs_service.this.deployment_circuit_breaker[0].enable && aws_ecs_service.this.deployment_circuit_breaker[0].rollback
    error_message = "The circuit breaker must roll back."
  }

  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 100
    error_message = "Nothing must be stopped before its successor is healthy."
  }
}

run "a_single_one_is_stopped_before_its_successor_starts" {
  command = plan

  variables {
    single = true
  }

  assert {
    condition     = aws_ecs_service.this.deployment_minimum_healthy_percent == 0 && aws_ecs_service.this.deployment_maximum_percent == 100
    error_message = "There must never be two."
  }
}

run "refuses_two_of_a_single_one" {
  command = plan

  variables {
    single      = true
    first_tasks = 2
  }

  expect_failures = [aws_ecs_service.this]
}

run "refuses_a_single_one_on_spot" {
  command = plan

  variables {
    single   = true
    capacity = { FARGATE_SPOT = {} }
  }

  expect_failures = [aws_ecs_service.this]
}

run "refuses_a_provider_that_is_not_fargate" {
  command = plan

  variables {
    capacity = { EC2 = {} }
  }

  expect_failures = [var.capacity]
}
