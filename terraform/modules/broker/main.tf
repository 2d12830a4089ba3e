# RabbitMQ as a managed cluster: three nodes in three zones, quorum queues on all of them, reachable from private subnets only.
# Queues and policies are Holdfast's own business (`holdfast topology apply`).

resource "aws_security_group" "this" {
  name_prefix = "${var.name}-broker-"
  description = "RabbitMQ: AMQPS and the management API, from Holdfast's own tasks"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "amqps" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = each.value
  description                  = "AMQPS from ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = 5671
  to_port                      = 5671
}

# Amazon MQ serves the management API, which the steward and the backlog gate ask, beside the console.
resource "aws_vpc_security_group_ingress_rule" "management" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = each.value
  description                  = "Management API from ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

# As infra/rabbitmq/conf.d says; what is missing here Amazon MQ sets itself and lets nobody change.
resource "aws_mq_configuration" "this" {
  name           = var.name
  description    = "A consumer that holds a message for longer than two hours hangs"
  engine_type    = "RabbitMQ"
  engine_version = var.engine_version
  data           = "consumer_timeout = 7200000\n"
}

resource "aws_mq_broker" "this" {
  broker_name        = var.name
  engine_type        = "RabbitMQ"
  engine_version     = var.engine_version
  host_instance_type = var.instance_type
  deployment_mode    = var.deployment_mode

  publicly_accessible = false
  subnet_ids          = var.deployment_mode == "SINGLE_INSTANCE" ? slice(values(var.subnet_ids), 0, 1) : values(var.subnet_ids)
  security_groups     = [aws_security_group.this.id]

  auto_minor_version_upgrade = true
  apply_immediately          = false

  configuration {
    id       = aws_mq_configuration.this.id
    revision = aws_mq_configuration.this.latest_revision
  }

  encryption_options {
    use_aws_owned_key = false
    kms_key_id        = var.kms_key_arn
  }

  logs {
    general = true
  }

  maintenance_window_start_time {
    day_of_week = var.maintenance.day
    time_of_day = var.maintenance.time
    time_zone   = "UTC"
  }

  # The provider has no write-only form of this password, so the one that the broker is made with stands in the state.
  # It is for the first login only: README, "The password".
  user {
    username = var.username
    password = var.initial_password
  }

  lifecycle {
    ignore_changes = [user]

    precondition {
      condition     = var.deployment_mode == "SINGLE_INSTANCE" || length(var.subnet_ids) >= 2
      error_message = "A cluster needs subnets in at least two zones, better three."
    }
  }
}
