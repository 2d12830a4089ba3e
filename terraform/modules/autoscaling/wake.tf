# From nothing to one: target tracking multiplies, and nothing multiplied is nothing.

locals {
  wake = var.backlog != null && var.least == 0 ? 1 : 0
}

resource "aws_appautoscaling_policy" "wake" {
  count = local.wake

  name               = "${var.name}-${var.service_name}-wake"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 60

    step_adjustment {
      metric_interval_lower_bound = 0
      scaling_adjustment          = 1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "wake" {
  count = local.wake

  alarm_name          = "${var.name}-${var.service_name}-wake"
  alarm_description   = "Jobs wait for ${var.service_name}, which has no task. Nobody needs to do anything: this starts one."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.wake[0].arn]

  metric_query {
    id          = "asleep"
    label       = "Jobs that wait for no task"
    expression  = "IF(FILL(tasks, 0) < 1, jobs, 0)"
    return_data = true
  }

  metric_query {
    id = "jobs"

    metric {
      namespace   = var.backlog.metric_namespace
      metric_name = "Backlog"
      stat        = "Maximum"
      period      = 60
      dimensions  = { Service = var.service_name }
    }
  }

  metric_query {
    id = "tasks"

    metric {
      namespace   = "ECS/ContainerInsights"
      metric_name = "RunningTaskCount"
      stat        = "Average"
      period      = 60
      dimensions  = { ClusterName = var.cluster_name, ServiceName = var.service_name }
    }
  }
}
