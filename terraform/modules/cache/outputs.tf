output "host" {
  description = "Name of the primary's host; port 6379 speaks TLS (`rediss://`)."
  value       = aws_elasticache_replication_group.this.primary_endpoint_address
}

output "replication_group_id" {
  description = "Id of the replication group, which the rotation of its password names."
  value       = aws_elasticache_replication_group.this.id
}

output "member_ids" {
  description = "Ids of the nodes, as CloudWatch's `CacheClusterId` dimension has them."
  value       = [for number in range(1, 2 + var.replicas) : format("%s-%03d", var.name, number)]
}

output "security_group_id" {
  description = "Security group of the cache."
  value       = aws_security_group.this.id
}
