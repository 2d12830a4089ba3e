output "definition_arn" {
  description = "ARN of the task definition with its revision; a task can start once its roles may do what they must."
  value       = aws_ecs_task_definition.this.arn
  depends_on  = [aws_iam_role_policy.execution, aws_iam_role_policy.task]
}

output "family" {
  description = "Name of the task definition without its revision."
  value       = aws_ecs_task_definition.this.family
}

output "container_definitions" {
  description = "The container, as JSON: what the parity test compares with docker-compose.yml."
  value       = aws_ecs_task_definition.this.container_definitions
}

output "task_role_name" {
  description = "Name of the role of the processes."
  value       = aws_iam_role.task.name
}

output "log_group_name" {
  description = "Name of the log group."
  value       = aws_cloudwatch_log_group.this.name
}
