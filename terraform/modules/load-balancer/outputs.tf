output "dns_name" {
  description = "Name of the load balancer, to which the names of api and Grafana must point."
  value       = aws_lb.this.dns_name
}

output "zone_id" {
  description = "Hosted zone of that name, for an alias record."
  value       = aws_lb.this.zone_id
}

output "load_balancer_suffix" {
  description = "End of the ARN, as CloudWatch's `LoadBalancer` dimension has it."
  value       = aws_lb.this.arn_suffix
}

output "api_target_group_arn" {
  description = "Target group of the api; a service can join it once a listener leads there."
  value       = aws_lb_target_group.api.arn
  depends_on  = [aws_lb_listener.https]
}

output "api_target_group_suffix" {
  description = "End of that ARN, as CloudWatch's `TargetGroup` dimension has it."
  value       = aws_lb_target_group.api.arn_suffix
}

output "grafana_target_group_arn" {
  description = "Target group of Grafana; null where it is not called from outside."
  value       = one(aws_lb_target_group.grafana[*].arn)
  depends_on  = [aws_lb_listener_rule.grafana]
}

output "log_bucket" {
  description = "Bucket of the access logs; other buckets may write theirs below `s3/`."
  value       = var.log_bucket # known before the bucket is made
  depends_on  = [aws_s3_bucket_policy.logs]
}
