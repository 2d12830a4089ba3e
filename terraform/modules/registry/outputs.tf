output "repository_urls" {
  description = "Where to push and pull, by repository."
  value       = { for key, repository in aws_ecr_repository.this : key => repository.repository_url }
}

output "repository_arns" {
  description = "ARNs by repository, for the execution role that may pull."
  value       = { for key, repository in aws_ecr_repository.this : key => repository.arn }
}
