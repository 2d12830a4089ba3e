# What keeps data: artifacts in S3 always, the other three with AWS or on Fargate with a disk.

locals {
  # Who keeps files, where its container has them, and the user of its image.
  files = {
    for service, it in {
      rabbitmq   = { path = "/var/lib/rabbitmq", uid = 999, gid = 999 }
      redis      = { path = "/data", uid = 999, gid = 999 }
      postgres   = { path = "/var/lib/postgresql", uid = 999, gid = 999 }
      prometheus = { path = "/prometheus", uid = 65534, gid = 65534 }
      grafana    = { path = "/var/lib/grafana", uid = 472, gid = 0 }
    } : service => it if contains(local.names_on_fargate, service)
  }

  mounts = {
    for service, it in local.files : service => {
      path             = it.path
      file_system_id   = module.storage.file_system_id
      file_system_arn  = module.storage.file_system_arn
      access_point_id  = module.storage.access_point_ids[service]
      access_point_arn = module.storage.access_point_arns[service]
    }
  }

  # Those that speak to broker, cache and database, wherever these run.
  clients = { for service in concat(local.processes, ["migration"]) : service => module.network.security_group_ids[service] }

  host = {
    rabbitmq = var.managed.broker ? module.broker[0].host : "rabbitmq.${module.cluster.namespace_name}"
    redis    = var.managed.cache ? module.cache[0].host : "redis.${module.cluster.namespace_name}"
    postgres = var.managed.database ? module.database[0].host : "postgres.${module.cluster.namespace_name}"
  }
}

module "storage" {
  source = "../storage"

  name              = var.name
  bucket            = local.artifacts_bucket
  kms_key_arn       = var.kms_key_arn
  access_log_bucket = module.load_balancer.log_bucket
  force_destroy     = !var.deletion_protection

  file_systems              = { for service, it in local.files : service => { uid = it.uid, gid = it.gid } }
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.data_subnet_ids
  client_security_group_ids = { for service in keys(local.files) : service => module.network.security_group_ids[service] }
}

module "broker" {
  source = "../broker"
  count  = var.managed.broker ? 1 : 0

  name                      = var.name
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.data_subnet_ids
  client_security_group_ids = local.clients
  instance_type             = var.broker.instance_type
  deployment_mode           = var.broker.deployment_mode
  kms_key_arn               = var.kms_key_arn
  initial_password          = var.initial_password
}

module "cache" {
  source = "../cache"
  count  = var.managed.cache ? 1 : 0

  name                      = var.name
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.data_subnet_ids
  client_security_group_ids = local.clients
  node_type                 = var.cache.node_type
  replicas                  = var.cache.replicas
  kms_key_arn               = var.kms_key_arn
  initial_password          = var.initial_password
}

module "database" {
  source = "../database"
  count  = var.managed.database ? 1 : 0

  name                      = var.name
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.data_subnet_ids
  client_security_group_ids = local.clients
  instance_class            = var.database.instance_class
  storage_gib               = var.database.storage_gib
  storage_limit_gib         = var.database.storage_limit_gib
  backup_days               = var.database.backup_days
  multi_az                  = var.database.multi_az
  password                  = var.database_password
  password_version          = var.database.password_version
  deletion_protection       = var.deletion_protection
  kms_key_arn               = var.kms_key_arn
  log_retention_days        = var.log_retention_days
}
