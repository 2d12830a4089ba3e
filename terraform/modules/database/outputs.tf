output "host" {
  description = "Name of the database's host; it leads to the standby after a failover."
  value       = aws_db_instance.this.address
}

output "database" {
  description = "Name of the database."
  value       = aws_db_instance.this.db_name
}

output "username" {
  description = "Name of the owner."
  value       = aws_db_instance.this.username
}

output "instance_id" {
  description = "Identifier, as CloudWatch's `DBInstanceIdentifier` dimension has it."
  value       = aws_db_instance.this.identifier
}

output "arn" {
  description = "ARN of the instance."
  value       = aws_db_instance.this.arn
}

output "security_group_id" {
  description = "Security group of the database."
  value       = aws_security_group.this.id
}
