output "run_task" {
  description = "What `aws ecs run-task --cli-input-json` takes to run the migration."
  value = jsonencode({
    cluster        = var.cluster_name
    taskDefinition = module.task.definition_arn
    count          = 1
    launchType     = "FARGATE"
    networkConfiguration = {
      awsvpcConfiguration = {
        subnets        = var.subnet_ids
        securityGroups = [var.security_group_id]
        assignPublicIp = "DISABLED"
      }
    }
  })
}

output "container_definitions" {
  description = "The container, as JSON."
  value       = module.task.container_definitions
}

output "log_group_name" {
  description = "Name of the log group, where a failed migration says why."
  value       = module.task.log_group_name
}
