output "host" {
  description = "Name of the broker's host; port 5671 speaks AMQPS, port 443 the management API."
  value       = split(":", trimprefix(aws_mq_broker.this.instances[0].endpoints[0], "amqps://"))[0]
}

output "broker_name" {
  description = "Name, as CloudWatch's `Broker` dimension has it."
  value       = aws_mq_broker.this.broker_name
}

output "arn" {
  description = "ARN of the broker."
  value       = aws_mq_broker.this.arn
}

output "security_group_id" {
  description = "Security group of the broker."
  value       = aws_security_group.this.id
}
