output "urls" {
  description = "The composed secrets: where each leads, with `%s` for the password, and the generated secret that is put there."
  value = {
    postgres-url = {
      password = "postgres-password"
      format   = "postgresql+asyncpg://holdfast:%s@${local.host.postgres}:5432/holdfast${var.managed.database ? "?ssl=require" : ""}"
    }
    rabbitmq-url = {
      password = "rabbitmq-password"
      format   = var.managed.broker ? "amqps://holdfast:%s@${local.host.rabbitmq}:5671/" : "amqp://holdfast:%s@${local.host.rabbitmq}:5672/holdfast"
    }
    rabbitmq-management-url = {
      password = "rabbitmq-password"
      format   = var.managed.broker ? "https://holdfast:%s@${local.host.rabbitmq}:443" : "http://holdfast:%s@${local.host.rabbitmq}:15672"
    }
    redis-url = {
      password = "redis-password"
      format   = "${var.managed.cache ? "rediss" : "redis"}://:%s@${local.host.redis}:6379/0"
    }
  }
}

output "cluster_name" {
  description = "Name of the cluster, for `aws ecs`."
  value       = module.cluster.name
}

output "load_balancer" {
  description = "Where the names of api and Grafana must point: name and hosted zone of the load balancer."
  value       = { dns_name = module.load_balancer.dns_name, zone_id = module.load_balancer.zone_id }
}

output "migration_run_task" {
  description = "What `aws ecs run-task --cli-input-json` takes to migrate the ledger."
  value       = module.migration.run_task
}

output "services" {
  description = "Services on Fargate, with the task definitions that they run."
  value       = { for name, service in module.service : name => service.task_definition_arn }
}

output "container_definitions" {
  description = "Containers by service, as JSON, for the tests."
  value       = { for name, service in module.service : name => service.container_definitions }
}

output "artifacts_bucket" {
  description = "Bucket of the artifacts."
  value       = module.storage.bucket
}

output "nat_addresses" {
  description = "Addresses that webhooks come from, by zone."
  value       = module.network.nat_addresses
}

output "broker_id" {
  description = "ARN of the broker at Amazon MQ, which the rotation of its password names; null where it runs on Fargate."
  value       = one(module.broker[*].arn)
}

output "cache_id" {
  description = "Replication group at ElastiCache, which the rotation of its password names; null where it runs on Fargate."
  value       = one(module.cache[*].replication_group_id)
}

output "alarm_topic_arn" {
  description = "Topic of CloudWatch's alarms."
  value       = module.observability.topic_arn
}
