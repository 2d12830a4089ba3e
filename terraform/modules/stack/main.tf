# An environment without its key and secrets: the eight services of docker-compose.yml under the same names, wherever they run.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name

  # What is named after the account is unique in the world.
  artifacts_bucket = "${var.name}-artifacts-${local.account}"
  logs_bucket      = "${var.name}-logs-${local.account}"

  metric_namespace = "Holdfast/${var.name}"
}

module "network" {
  source = "../network"

  name               = var.name
  region             = local.region
  zones              = var.zones
  cidr               = var.cidr
  nat                = var.nat
  services           = local.callers
  flows              = local.flows
  out                = local.out
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.kms_key_arn
}

module "cluster" {
  source = "../cluster"

  name               = var.name
  vpc_id             = module.network.vpc_id
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.kms_key_arn
}

module "load_balancer" {
  source = "../load-balancer"

  name                = var.name
  vpc_id              = module.network.vpc_id
  subnet_ids          = values(module.network.public_subnet_ids)
  security_group_id   = module.network.security_group_ids["load-balancer"]
  admit               = var.admit
  certificate_arn     = var.certificate_arn
  api                 = { port = 8000, health_path = "/healthz" }
  grafana             = var.grafana_host == null ? null : { host = var.grafana_host, port = 3000, health_path = "/api/health" }
  log_bucket          = local.logs_bucket
  log_account_id      = local.account
  log_retention_days  = var.log_retention_days
  waf                 = var.waf
  kms_key_arn         = var.kms_key_arn
  deletion_protection = var.deletion_protection
}

module "service" {
  source   = "../service"
  for_each = local.services

  name               = var.name
  service            = each.key
  region             = local.region
  account_id         = local.account
  cluster_arn        = module.cluster.arn
  namespace_id       = module.cluster.namespace_id
  subnet_ids         = values(module.network.private_subnet_ids)
  security_group_id  = module.network.security_group_ids[each.key]
  container          = each.value
  first_tasks        = try(var.tasks[each.key].least, 1)
  single             = contains(keys(local.files), each.key)
  capacity           = startswith(each.key, "worker-") ? local.worker_capacity : { FARGATE = {} }
  files              = lookup(local.mounts, each.key, null)
  load_balancer      = lookup(local.target_groups, each.key, null)
  permissions        = lookup(local.permissions, each.key, {})
  kms_key_arn        = var.kms_key_arn
  shell              = var.shell && contains(local.processes, each.key) ? { log_group_arn = module.cluster.exec_log_group_arn } : null
  log_retention_days = var.log_retention_days

  depends_on = [module.storage] # a task that mounts needs the mount targets
}

module "migration" {
  source = "../migration"

  name               = var.name
  region             = local.region
  account_id         = local.account
  cluster_name       = module.cluster.name
  subnet_ids         = values(module.network.private_subnet_ids)
  security_group_id  = module.network.security_group_ids["migration"]
  image              = var.images.holdfast
  architecture       = var.architecture
  user               = local.holdfast_user
  environment        = local.environment
  secrets            = local.holdfast_secrets
  kms_key_arn        = var.kms_key_arn
  log_retention_days = var.log_retention_days
}

module "autoscaling" {
  source   = "../autoscaling"
  for_each = var.tasks

  name         = var.name
  cluster_name = module.cluster.name
  service_name = module.service[each.key].service_name
  least        = each.value.least
  most         = each.value.most
  cpu_percent  = each.key == "worker-webhook" ? null : 70
  backlog      = each.key == "api" ? null : { metric_namespace = local.metric_namespace, per_task = var.backlog_per_task[each.key] }

  requests = each.key != "api" ? null : {
    load_balancer_suffix = module.load_balancer.load_balancer_suffix
    target_group_suffix  = module.load_balancer.api_target_group_suffix
    per_task             = var.requests_per_task
  }
}

module "observability" {
  source = "../observability"

  name                 = var.name
  cluster_name         = module.cluster.name
  services             = { for service in keys(local.services) : service => try(var.tasks[service].least, 1) }
  metric_namespace     = local.metric_namespace
  load_balancer        = { suffix = module.load_balancer.load_balancer_suffix, target_group_suffix = module.load_balancer.api_target_group_suffix }
  broker_name          = one(module.broker[*].broker_name)
  cache_member_ids     = var.managed.cache ? module.cache[0].member_ids : []
  database_instance_id = one(module.database[*].instance_id)
  kms_key_arn          = var.kms_key_arn
  emails               = var.emails
  monthly_budget_usd   = var.monthly_budget_usd
}
