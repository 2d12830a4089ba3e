output "kms_key_arn" {
  description = "ARN of the key."
  value       = aws_kms_key.this.arn
}

output "arns" {
  description = "ARNs of the secrets by name, when they are written: what a task definition takes, and an execution role may read."
  value       = { for name, secret in aws_secretsmanager_secret.this : name => secret.arn }

  # A task that starts before its secrets have values fails.
  depends_on = [aws_secretsmanager_secret_version.generated, aws_secretsmanager_secret_version.composed]
}

output "values" {
  description = "What the generated secrets say, for write-only arguments and for `composed_values`."

  # The condition is always met. Terraform 1.11 forgets that a collection of ephemeral resources is ephemeral while it validates,
  # and remembers it of a condition.
  value     = var.carried_over == null ? {} : { for name, version in ephemeral.aws_secretsmanager_secret_version.generated : name => version.secret_string }
  ephemeral = true
  sensitive = true
}

output "initial_password" {
  description = "Password for the first login to what has no write-only argument. It is in the state: change it after the first apply."
  value       = data.aws_secretsmanager_random_password.initial.random_password
  sensitive   = true
}
