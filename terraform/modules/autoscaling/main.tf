# How many tasks a service has. Workers follow the jobs that wait for each of them: their processors say little, for a webhook
# mostly waits. The api follows its requests. A worker that is busy holds itself back from being let go.

resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${var.cluster_name}/${var.service_name}"
  min_capacity       = var.least
  max_capacity       = var.most
}

resource "aws_appautoscaling_policy" "backlog" {
  count = var.backlog == null ? 0 : 1

  name               = "${var.name}-${var.service_name}-backlog"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.backlog.per_task
    scale_out_cooldown = var.out_cooldown
    scale_in_cooldown  = var.in_cooldown

    customized_metric_specification {
      metrics {
        id          = "each"
        label       = "Jobs that wait for each task"
        expression  = "jobs / IF(tasks > 0, tasks, 1)"
        return_data = true
      }

      metrics {
        id          = "jobs"
        return_data = false

        metric_stat {
          stat = "Maximum"

          metric {
            namespace   = var.backlog.metric_namespace
            metric_name = "Backlog"

            dimensions {
              name  = "Service"
              value = var.service_name
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = var.cluster_name
            }

            dimensions {
              name  = "ServiceName"
              value = var.service_name
            }
          }
        }
      }
    }
  }
}

resource "aws_appautoscaling_policy" "requests" {
  count = var.requests == null ? 0 : 1

  name               = "${var.name}-${var.service_name}-requests"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.requests.per_task
    scale_out_cooldown = var.out_cooldown
    scale_in_cooldown  = var.in_cooldown

    predefined_metric_specification {
      predefined_metric_type = "ALBRequestCountPerTarget"
      resource_label         = "${var.requests.load_balancer_suffix}/${var.requests.target_group_suffix}"
    }
  }
}

resource "aws_appautoscaling_policy" "cpu" {
  count = var.cpu_percent == null ? 0 : 1

  name               = "${var.name}-${var.service_name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.cpu_percent
    scale_out_cooldown = var.out_cooldown
    scale_in_cooldown  = var.in_cooldown

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
