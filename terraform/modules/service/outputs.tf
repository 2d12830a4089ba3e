output "service_name" {
  description = "Name of the service, as CloudWatch's `ServiceName` dimension has it."
  value       = aws_ecs_service.this.name
}

output "task_definition_arn" {
  description = "ARN of the task definition with its revision: what a rollback names."
  value       = module.task.definition_arn
}

output "container_definitions" {
  description = "The container, as JSON: what the parity test compares with docker-compose.yml."
  value       = module.task.container_definitions
}

output "task_role_name" {
  description = "Name of the role of the processes."
  value       = module.task.task_role_name
}

output "log_group_name" {
  description = "Name of the log group."
  value       = module.task.log_group_name
}
