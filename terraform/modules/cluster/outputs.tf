output "arn" {
  description = "ARN of the cluster; tasks can be placed once it is known."
  value       = aws_ecs_cluster.this.arn
  depends_on  = [aws_ecs_cluster_capacity_providers.this]
}

output "name" {
  description = "Name of the cluster, as CloudWatch's `ClusterName` dimension has it."
  value       = aws_ecs_cluster.this.name
}

output "namespace_id" {
  description = "Id of the namespace in which services are registered."
  value       = aws_service_discovery_private_dns_namespace.this.id
}

output "namespace_name" {
  description = "What the names of services end in."
  value       = aws_service_discovery_private_dns_namespace.this.name
}

output "exec_log_group_arn" {
  description = "ARN of the log group that records `aws ecs execute-command`."
  value       = aws_cloudwatch_log_group.exec.arn
}
