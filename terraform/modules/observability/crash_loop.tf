# A task that ends by itself again and again. ECS has no metric of that, so its events become one: every end of an essential
# container is a line in a log, each line is counted for its service, and the count has an alarm.

resource "aws_cloudwatch_log_group" "ends" {
  # checkov:skip=CKV_AWS_338:ninety days are enough to find a crash loop; the services' own logs are kept for longer
  name              = "/aws/events/${var.name}/ends"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_cloudwatch_log_resource_policy" "ends" {
  policy_name = "${var.name}-events"
  policy_document = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = ["events.amazonaws.com", "delivery.logs.amazonaws.com"] }
      Action    = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource  = "${aws_cloudwatch_log_group.ends.arn}:*"
    }]
  })
}

resource "aws_cloudwatch_event_rule" "ends" {
  name        = "${var.name}-ends"
  description = "A container ended by itself, so its task ended"
  event_pattern = jsonencode({
    source        = ["aws.ecs"]
    "detail-type" = ["ECS Task State Change"]
    detail = {
      clusterArn = ["${local.in_ecs}:cluster/${var.cluster_name}"]
      lastStatus = ["STOPPED"]
      stopCode   = ["EssentialContainerExited", "TaskFailedToStart"]
    }
  })
}

resource "aws_cloudwatch_event_target" "ends" {
  rule = aws_cloudwatch_event_rule.ends.name
  arn  = aws_cloudwatch_log_group.ends.arn
}

resource "aws_cloudwatch_log_metric_filter" "ends" {
  name           = "${var.name}-ends"
  log_group_name = aws_cloudwatch_log_group.ends.name
  pattern        = "{ $.detail.group = \"service:*\" }"

  metric_transformation {
    namespace  = "${var.name}/ecs"
    name       = "TasksEnded"
    value      = "1"
    dimensions = { Service = "$.detail.group" }
  }
}

resource "aws_cloudwatch_metric_alarm" "crash_loop" {
  for_each = toset(keys(var.services))

  alarm_name          = "${var.name}-${each.key}-crash-loop"
  alarm_description   = "Tasks of ${each.key} ended by themselves three times in ten minutes. The log group /${var.name}/${each.key} has their last words."
  namespace           = "${var.name}/ecs"
  metric_name         = "TasksEnded"
  dimensions          = { Service = "service:${each.key}" }
  statistic           = "Sum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 3
  period              = 600
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.told.alarm_actions
  ok_actions          = local.told.ok_actions
}

# The circuit breaker rolled a deployment back: what runs is healthy, and not what was wanted.
resource "aws_cloudwatch_event_rule" "rolled_back" {
  name        = "${var.name}-rolled-back"
  description = "A deployment failed and was rolled back"
  event_pattern = jsonencode({
    source        = ["aws.ecs"]
    "detail-type" = ["ECS Deployment State Change"]
    resources     = [{ prefix = "${local.in_ecs}:service/${var.cluster_name}/" }]
    detail        = { eventName = ["SERVICE_DEPLOYMENT_FAILED"] }
  })
}

resource "aws_cloudwatch_event_target" "rolled_back" {
  rule = aws_cloudwatch_event_rule.rolled_back.name
  arn  = aws_sns_topic.alarms.arn
}
