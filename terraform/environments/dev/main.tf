# Development: all eight services on Fargate, in two zones, behind one NAT gateway. RabbitMQ, Redis and PostgreSQL have one node and
# an EFS disk each: a deployment stops them, a lost zone takes them along for minutes, and NFS is slower than a disk. They keep
# what is written, and that is all they promise (README, "Limits of dev").

module "stack" {
  source = "../../modules/stack"

  name    = var.name
  zones   = ["${var.region}a", "${var.region}b"]
  cidr    = "10.20.0.0/16"
  nat     = "one"
  managed = { broker = false, cache = false, database = false }
  images  = var.images

  sizes = {
    api            = { cpu = 256, memory = 1024 }
    worker-render  = { cpu = 1024, memory = 4096 }
    worker-webhook = { cpu = 256, memory = 1024 }
    prometheus     = { cpu = 256, memory = 1024 }
  }

  # Workers sleep while there is nothing to do.
  tasks = {
    api            = { least = 1, most = 2 }
    worker-render  = { least = 0, most = 2 }
    worker-webhook = { least = 0, most = 2 }
  }

  spot     = 4
  shell    = true
  settings = var.settings
  paging   = var.paging

  kms_key_arn = module.secrets.kms_key_arn
  secret_arns = module.secrets.arns

  certificate_arn = var.certificate_arn
  grafana_host    = var.grafana_host
  admit           = var.admit

  deletion_protection = var.deletion_protection
  log_retention_days  = 14
  emails              = var.emails
  alert_email         = var.alert_email
  monthly_budget_usd  = var.monthly_budget_usd
}
