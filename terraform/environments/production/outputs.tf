output "load_balancer" {
  description = "Where the names of api and Grafana must point."
  value       = module.stack.load_balancer
}

output "repository_urls" {
  description = "Where images are pushed."
  value       = module.registry.repository_urls
}

output "cluster_name" {
  description = "Name of the cluster, for `aws ecs`."
  value       = module.stack.cluster_name
}

output "migration_run_task" {
  description = "What `aws ecs run-task --cli-input-json` takes to migrate the ledger."
  value       = module.stack.migration_run_task
}

output "services" {
  description = "Services on Fargate, with the task definitions that they run."
  value       = module.stack.services
}

output "nat_addresses" {
  description = "Addresses that webhooks come from, by zone."
  value       = module.stack.nat_addresses
}

output "secret_arns" {
  description = "ARNs of the secrets, by name."
  value       = module.secrets.arns
}

output "password_rotation" {
  description = "What `infra/aws/passwords` needs: broker, cache, and the password that both were made with."
  sensitive   = true
  value = {
    broker_id        = module.stack.broker_id
    cache_id         = module.stack.cache_id
    initial_password = module.secrets.initial_password
  }
}
