# Which of the eight services AWS runs, and which run on Fargate. What is planned in detail, the apply of both environments shows.

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
  zones              = ["eu-central-1a", "eu-central-1b"]
  cidr               = "10.20.0.0/16"
  nat                = "one"
  managed            = { broker = true, cache = true, database = true }
  tasks              = { api = { least = 1, most = 2 }, worker-render = { least = 0, most = 2 }, worker-webhook = { least = 0, most = 2 } }
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  certificate_arn    = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
  initial_password   = "a-first-password-0123"
  database_password  = "a-password"
  monthly_budget_usd = 100

  images = {
    for image in ["holdfast", "prometheus", "grafana", "rabbitmq", "redis", "postgres"] :
    image => "registry.example/${image}@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  }

  secret_arns = {
    for secret in ["postgres-password", "rabbitmq-password", "redis-password", "grafana-admin-password", "signing-key", "postgres-url", "rabbitmq-url", "rabbitmq-management-url", "redis-url", "encryption-keys"] :
    secret => "arn:aws:secretsmanager:eu-central-1:123456789012:secret:${secret}"
  }
}

run "aws_runs_all_three" {
  command = plan

  assert {
    condition     = toset(keys(module.service)) == toset(["api", "worker-render", "worker-webhook", "prometheus", "grafana"])
    error_message = "What AWS runs must not run on Fargate too."
  }

  assert {
    condition     = length(module.broker) == 1 && length(module.cache) == 1 && length(module.database) == 1
    error_message = "AWS must run all three."
  }
}

run "the_broker_back_on_fargate" {
  command = plan

  variables {
    managed = { broker = false, cache = true, database = true }
  }

  assert {
    condition     = contains(keys(module.service), "rabbitmq") && length(module.broker) == 0
    error_message = "RabbitMQ must run on Fargate, and there only."
  }
}

run "the_cache_back_on_fargate" {
  command = plan

  variables {
    managed = { broker = true, cache = false, database = true }
  }

  assert {
    condition     = contains(keys(module.service), "redis") && length(module.cache) == 0
    error_message = "Redis must run on Fargate, and there only."
  }
}

run "the_database_back_on_fargate" {
  command = plan

  variables {
    managed = { broker = true, cache = true, database = false }
  }

  assert {
    condition     = contains(keys(module.service), "postgres") && length(module.database) == 0
    error_message = "PostgreSQL must run on Fargate, and there only."
  }
}

run "refuses_an_image_that_can_move" {
  command = plan

  variables {
    images = { holdfast = "holdfast:latest", prometheus = "prometheus:3", grafana = "grafana:12" }
  }

  expect_failures = [var.images]
}

run "refuses_fargate_without_an_image" {
  command = plan

  variables {
    managed = { broker = false, cache = true, database = true }
    images = {
      for image in ["holdfast", "prometheus", "grafana"] :
      image => "registry.example/${image}@sha256:1111111111111111111111111111111111111111111111111111111111111111"
    }
  }

  expect_failures = [var.images]
}

run "refuses_to_go_without_an_api" {
  command = plan

  variables {
    tasks = { api = { least = 0, most = 2 }, worker-render = { least = 0, most = 2 }, worker-webhook = { least = 0, most = 2 } }
  }

  expect_failures = [var.tasks]
}

run "refuses_a_secret_among_the_settings" {
  command = plan

  variables {
    settings = { HOLDFAST_SIGNING_KEY = "hunter2" }
  }

  expect_failures = [var.settings]
}
