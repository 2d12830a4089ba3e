# Alarms that take their metrics from AWS, each with its reason. `breaching` means that silence is the alarm.

locals {
  told = { alarm_actions = [aws_sns_topic.alarms.arn], ok_actions = [aws_sns_topic.alarms.arn] }
}

# The steward says every minute how long the queues are. When it is silent, nobody relays, promotes, rescues or archives.
resource "aws_cloudwatch_metric_alarm" "no_data" {
  alarm_name          = "${var.name}-no-data"
  alarm_description   = "The steward has published nothing for five minutes: runbooks/ has NoSteward and what may be behind it."
  namespace           = var.metric_namespace
  metric_name         = "Backlog"
  dimensions          = { Service = "worker-webhook" }
  statistic           = "SampleCount"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "breaching"
  alarm_actions       = local.told.alarm_actions
  ok_actions          = local.told.ok_actions
}

# Broker unreachable, first form: Amazon MQ counts connections, and each process of ours holds one.
resource "aws_cloudwatch_metric_alarm" "broker_unreachable" {
  count = var.broker_name == null ? 0 : 1

  alarm_name          = "${var.name}-broker-unreachable"
  alarm_description   = "No process of Holdfast has been connected to RabbitMQ for five minutes. Jobs are accepted, and wait."
  namespace           = "AWS/AmazonMQ"
  metric_name         = "ConnectionCount"
  dimensions          = { Broker = var.broker_name }
  statistic           = "Maximum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "breaching"
  alarm_actions       = local.told.alarm_actions
  ok_actions          = local.told.ok_actions
}

# A service without a running task, the broker and the database on Fargate included.
resource "aws_cloudwatch_metric_alarm" "no_task" {
  for_each = toset([for service, least in var.services : service if least > 0])

  alarm_name          = "${var.name}-${each.key}-no-task"
  alarm_description   = "No task of ${each.key} has been running for five minutes. Its events in ECS say why the last one ended."
  namespace           = "ECS/ContainerInsights"
  metric_name         = "RunningTaskCount"
  dimensions          = { ClusterName = var.cluster_name, ServiceName = each.key }
  statistic           = "Maximum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "breaching"
  alarm_actions       = local.told.alarm_actions
  ok_actions          = local.told.ok_actions
}

resource "aws_cloudwatch_metric_alarm" "no_healthy_target" {
  count = var.load_balancer == null ? 0 : 1

  alarm_name          = "${var.name}-api-unreachable"
  alarm_description   = "No api task passes the load balancer's health check: clients get 503."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HealthyHostCount"
  dimensions          = { LoadBalancer = var.load_balancer.suffix, TargetGroup = var.load_balancer.target_group_suffix }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 60
  evaluation_periods  = 3
  treat_missing_data  = "breaching"
  alarm_actions       = local.told.alarm_actions
  ok_actions          = local.told.ok_actions
}

resource "aws_cloudwatch_metric_alarm" "database_disk" {
  count = var.database_instance_id == null ? 0 : 1

  alarm_name          = "${var.name}-database-disk"
  alarm_description   = "The ledger's disk has less than 10 GiB left. It grows by itself up to storage_limit_gib; past that the api answers 503."
  namespace           = "AWS/RDS"
  metric_name         = "FreeStorageSpace"
  dimensions          = { DBInstanceIdentifier = var.database_instance_id }
  statistic           = "Minimum"
  comparison_operator = "LessThanThreshold"
  threshold           = 10 * 1024 * 1024 * 1024
  period              = 300
  evaluation_periods  = 2
  treat_missing_data  = "missing"
  alarm_actions       = local.told.alarm_actions
  ok_actions          = local.told.ok_actions
}

resource "aws_cloudwatch_metric_alarm" "cache_memory" {
  for_each = var.cache_member_ids

  alarm_name          = "${var.name}-cache-memory-${each.key}"
  alarm_description   = "Redis uses 80 % of its memory. It evicts nothing: when it is full, keys are no longer held in the gate."
  namespace           = "AWS/ElastiCache"
  metric_name         = "DatabaseMemoryUsagePercentage"
  dimensions          = { CacheClusterId = each.key }
  statistic           = "Maximum"
  comparison_operator = "GreaterThanThreshold"
  threshold           = 80
  period              = 300
  evaluation_periods  = 2
  treat_missing_data  = "missing"
  alarm_actions       = local.told.alarm_actions
  ok_actions          = local.told.ok_actions
}
