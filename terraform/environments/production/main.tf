# Production: api, workers, Prometheus and Grafana on Fargate in three zones; RabbitMQ, Redis and PostgreSQL run by AWS, each of
# them in more than one zone.

module "stack" {
  source = "../../modules/stack"

  name    = var.name
  zones   = ["${var.region}a", "${var.region}b", "${var.region}c"]
  cidr    = "10.30.0.0/16"
  nat     = "each-zone"
  managed = var.managed
  images  = var.images

  sizes = {
    api = { cpu = 1024, memory = 2048 }
  }

  tasks    = var.tasks
  spot     = var.spot
  shell    = false
  settings = var.settings
  paging   = var.paging

  broker   = var.broker
  cache    = var.cache
  database = merge(var.database, { password_version = var.secret_version })

  kms_key_arn       = module.secrets.kms_key_arn
  secret_arns       = module.secrets.arns
  database_password = module.secrets.values["postgres-password"]
  initial_password  = module.secrets.initial_password

  certificate_arn = var.certificate_arn
  grafana_host    = var.grafana_host
  waf             = var.waf

  deletion_protection = var.deletion_protection
  log_retention_days  = 365
  emails              = var.emails
  alert_email         = var.alert_email
  monthly_budget_usd  = var.monthly_budget_usd
}
