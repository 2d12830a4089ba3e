# One service: as many tasks as somebody wants of one container, under a name of its own. A deployment that does not become
# healthy is rolled back by itself.

module "task" {
  source = "../task"

  name               = var.name
  service            = var.service
  region             = var.region
  account_id         = var.account_id
  image              = var.container.image
  architecture       = var.container.architecture
  cpu                = var.container.cpu
  memory             = var.container.memory
  user               = var.container.user
  command            = var.container.command
  environment        = var.container.environment
  secrets            = var.container.secrets
  ports              = var.container.ports
  health_check       = var.container.health_check
  stop_timeout       = var.container.stop_timeout
  writable           = var.container.writable
  files              = var.files
  permissions        = var.permissions
  kms_key_arn        = var.kms_key_arn
  shell              = var.shell
  log_retention_days = var.log_retention_days
}

# An A record for each healthy task: `<service>.<namespace>`.
resource "aws_service_discovery_service" "this" {
  name         = var.service
  description  = "Tasks of ${var.service}"
  namespace_id = var.namespace_id

  dns_config {
    namespace_id   = var.namespace_id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }

  # ECS tells the namespace which containers are healthy.
  health_check_custom_config {
    failure_threshold = 1
  }
}

resource "aws_ecs_service" "this" {
  name             = var.service
  cluster          = var.cluster_arn
  task_definition  = module.task.definition_arn
  desired_count    = var.first_tasks
  platform_version = "1.4.0"

  enable_execute_command        = var.shell != null
  enable_ecs_managed_tags       = true
  propagate_tags                = "SERVICE"
  availability_zone_rebalancing = var.single ? "DISABLED" : "ENABLED"

  # A single one keeps its files for itself: the old task is stopped before the new one starts.
  deployment_minimum_healthy_percent = var.single ? 0 : 100
  deployment_maximum_percent         = var.single ? 100 : 200

  health_check_grace_period_seconds = var.load_balancer == null ? null : var.container.health_check.start_period

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "capacity_provider_strategy" {
    for_each = var.capacity

    content {
      capacity_provider = capacity_provider_strategy.key
      base              = capacity_provider_strategy.value.base
      weight            = capacity_provider_strategy.value.weight
    }
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [var.security_group_id]
    assign_public_ip = false
  }

  service_registries {
    registry_arn = aws_service_discovery_service.this.arn
  }

  dynamic "load_balancer" {
    for_each = var.load_balancer[*]

    content {
      target_group_arn = load_balancer.value.target_group_arn
      container_name   = var.service
      container_port   = load_balancer.value.port
    }
  }

  lifecycle {
    # How many there are is the business of autoscaling, or of whoever scales by hand.
    ignore_changes = [desired_count]

    precondition {
      condition     = !var.single || var.first_tasks <= 1
      error_message = "A service that keeps files for itself has one task: two would write over each other."
    }

    precondition {
      condition     = !var.single || !contains(keys(var.capacity), "FARGATE_SPOT")
      error_message = "A service that keeps files for itself must not run on Spot: AWS takes such tasks away with two minutes' notice."
    }
  }
}
