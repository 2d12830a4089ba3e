mock_provider "aws" {
  mock_resource "aws_appautoscaling_policy" {
    defaults = { arn = "arn:aws:autoscaling:eu-central-1:123456789012:scalingPolicy:mock" }
  }
}

variables {
  name         = "holdfast-test"
  cluster_name = "holdfast-test"
  service_name = "worker-webhook"
  least        = 1
  most         = 4
  backlog      = { metric_namespace = "Holdfast/holdfast-test", per_task = 100 }
}

run "a_worker_that_never_sleeps_needs_no_waking" {
  assert {
    condition     = length(aws_appautoscaling_policy.wake) == 0 && length(aws_appautoscaling_policy.backlog) == 1
    error_message = "A worker with one task or more must follow its backlog alone."
  }
}

run "a_worker_that_may_sleep_is_woken_by_the_first_job" {
  variables {
    least = 0
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.wake[0].threshold == 1 && contains(aws_cloudwatch_metric_alarm.wake[0].alarm_actions, aws_appautoscaling_policy.wake[0].arn)
    error_message = "One job that waits for no task must start one."
  }
}

run "the_api_follows_its_requests" {
  variables {
    service_name = "api"
    backlog      = null
    requests     = { load_balancer_suffix = "app/holdfast-test/1", target_group_suffix = "targetgroup/api/2", per_task = 6000 }
    cpu_percent  = 70
  }

  assert {
    condition     = one(one(aws_appautoscaling_policy.requests[0].target_tracking_scaling_policy_configuration).predefined_metric_specification).resource_label == "app/holdfast-test/1/targetgroup/api/2"
    error_message = "The label must name load balancer and target group."
  }

  assert {
    condition     = length(aws_appautoscaling_policy.backlog) == 0 && length(aws_appautoscaling_policy.cpu) == 1
    error_message = "The api has no backlog of its own."
  }
}

run "refuses_a_most_below_the_least" {
  command = plan

  variables {
    least = 3
    most  = 2
  }

  expect_failures = [var.most]
}

run "refuses_a_backlog_of_nothing" {
  command = plan

  variables {
    backlog = { metric_namespace = "Holdfast/holdfast-test", per_task = 0 }
  }

  expect_failures = [var.backlog]
}
