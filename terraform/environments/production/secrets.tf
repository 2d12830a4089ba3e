# The key, the secrets and the repositories: what a stack is given, and what its tests do without.

module "secrets" {
  source = "../../modules/secrets"

  name          = var.name
  recovery_days = var.deletion_protection ? 30 : 0

  generated = {
    postgres-password      = { version = var.secret_version }
    rabbitmq-password      = { version = var.secret_version }
    redis-password         = { version = var.secret_version }
    grafana-admin-password = { version = var.secret_version }
    signing-key            = { version = var.secret_version }
    encryption-key         = { length = 43 } # 256 bits in base64, but for the padding; it is never drawn anew: README
  }

  composed        = { for name in ["postgres-url", "rabbitmq-url", "rabbitmq-management-url", "redis-url", "encryption-keys"] : name => var.secret_version }
  composed_values = local.composed
  external        = values(var.paging)
}

locals {
  composed = merge(
    { for name, url in module.stack.urls : name => format(url.format, module.secrets.values[url.password]) },
    { encryption-keys = jsonencode(["${module.secrets.values["encryption-key"]}="]) },
  )
}

module "registry" {
  source = "../../modules/registry"

  name         = var.name
  repositories = ["holdfast", "chromium", "prometheus", "grafana", "rabbitmq", "redis", "postgres"]
  kms_key_arn  = module.secrets.kms_key_arn
  force_delete = !var.deletion_protection
}
