output "resource_id" {
  description = "What Application Auto Scaling calls the service; a person who takes over suspends this."
  value       = aws_appautoscaling_target.this.resource_id
}

output "policy_names" {
  description = "Names of the policies."
  value       = concat(aws_appautoscaling_policy.backlog[*].name, aws_appautoscaling_policy.requests[*].name, aws_appautoscaling_policy.cpu[*].name, aws_appautoscaling_policy.wake[*].name)
}
