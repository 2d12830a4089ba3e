# Redis with a replica in another zone: breakers, rate limits and the idempotency gate. Holdfast goes on without it, a little
# slower and each process by itself, so it is made available, not indestructible.

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-cache-"
  description = "Redis over TLS, from Holdfast's own tasks"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "redis" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = each.value
  description                  = "Redis from ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_elasticache_subnet_group" "this" {
  name        = var.name
  description = "Private subnets of ${var.name}"
  subnet_ids  = values(var.subnet_ids)
}

# A forgotten idempotency key, or an open breaker that is gone, would be worse than a refused write: nothing is evicted.
resource "aws_elasticache_parameter_group" "this" {
  name        = var.name
  description = "Nothing is evicted"
  family      = "redis7"

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_elasticache_replication_group" "this" {
  # checkov:skip=CKV2_AWS_50:on with any replica, and there is one by default
  replication_group_id = var.name
  description          = "Breakers, rate limits and the idempotency gate of ${var.name}"

  engine               = "redis"
  engine_version       = var.engine_version
  node_type            = var.node_type
  port                 = 6379
  parameter_group_name = aws_elasticache_parameter_group.this.name

  num_cache_clusters         = 1 + var.replicas
  automatic_failover_enabled = var.replicas > 0
  multi_az_enabled           = var.replicas > 0

  subnet_group_name  = aws_elasticache_subnet_group.this.name
  security_group_ids = [aws_security_group.this.id]

  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"

  # The provider has no write-only form of this token, so the one that the cache is made with stands in the state.
  # It is for the first login only: README, "The password".
  auth_token                 = var.initial_password
  auth_token_update_strategy = "ROTATE"

  snapshot_retention_limit   = var.snapshot_days
  snapshot_window            = "03:00-04:00"
  maintenance_window         = var.maintenance_window
  auto_minor_version_upgrade = true
  apply_immediately          = false

  lifecycle {
    ignore_changes = [auth_token]
  }
}
