# The services that run on Fargate. Names, commands, ports, health checks, environment and stop grace are those of
# docker-compose.yml; a test compares them.

locals {
  names     = ["api", "worker-render", "worker-webhook", "rabbitmq", "redis", "postgres", "prometheus", "grafana"]
  processes = ["api", "worker-render", "worker-webhook"]

  names_on_fargate = [for name in local.names : name if !lookup({
    rabbitmq = var.managed.broker
    redis    = var.managed.cache
    postgres = var.managed.database
  }, name, false)]

  services = { for name in local.names_on_fargate : name => merge(
    local.containers[name],
    { architecture = var.architecture },
    try(var.sizes[name], {}),
  ) }

  holdfast_user = "10001:10001"
  metrics_port  = 9464

  environment = merge(
    {
      AWS_REGION                  = local.region
      HOLDFAST_ENVIRONMENT        = "production"
      HOLDFAST_ARTIFACTS_URL      = "s3://${local.artifacts_bucket}/artifacts"
      HOLDFAST_EGRESS_ALLOW       = "[]"
      HOLDFAST_LOG_LEVEL          = "INFO"
      OTEL_EXPORTER_OTLP_ENDPOINT = ""
    },
    var.settings,
  )

  worker_environment = merge(local.environment, {
    HOLDFAST_METRICS_PORT = tostring(local.metrics_port)
    HOLDFAST_WORKER_GRACE = "100" # below stop_timeout, so that a worker always ends by itself
  })

  holdfast_secrets = {
    HOLDFAST_POSTGRES_URL            = var.secret_arns["postgres-url"]
    HOLDFAST_RABBITMQ_URL            = var.secret_arns["rabbitmq-url"]
    HOLDFAST_RABBITMQ_MANAGEMENT_URL = var.secret_arns["rabbitmq-management-url"]
    HOLDFAST_REDIS_URL               = var.secret_arns["redis-url"]
    HOLDFAST_ENCRYPTION_KEYS         = var.secret_arns["encryption-keys"]
    HOLDFAST_SIGNING_KEY             = var.secret_arns["signing-key"]
  }

  containers = {
    api = {
      image   = var.images.holdfast
      cpu     = 512
      memory  = 1024
      user    = local.holdfast_user
      command = ["holdfast", "api"]
      environment = merge(local.environment, {
        HOLDFAST_API_TLS              = "true"
        HOLDFAST_CHROMIUM             = var.images.render == null ? "" : "yes"
        HOLDFAST_CLOUDWATCH_NAMESPACE = local.metric_namespace
        HOLDFAST_MIGRATE_ON_START     = "false" # the module `migration` does
      })
      secrets      = local.holdfast_secrets
      ports        = { http = 8000 }
      stop_timeout = 30
      health_check = { command = ["CMD", "healthcheck"] }
    }

    worker-render = {
      image        = coalesce(var.images.render, var.images.holdfast)
      cpu          = 2048
      memory       = 4096
      user         = local.holdfast_user
      command      = ["holdfast", "worker", "render"]
      environment  = local.worker_environment
      secrets      = local.holdfast_secrets
      ports        = { metrics = local.metrics_port }
      writable     = { "/tmp" = 1024 }
      health_check = { command = ["CMD", "healthcheck"] }
    }

    worker-webhook = {
      image        = var.images.holdfast
      cpu          = 1024
      memory       = 2048
      user         = local.holdfast_user
      command      = ["holdfast", "worker", "webhook"]
      environment  = local.worker_environment
      secrets      = local.holdfast_secrets
      ports        = { metrics = local.metrics_port }
      health_check = { command = ["CMD", "healthcheck"] }
    }

    rabbitmq = {
      image  = var.images.rabbitmq
      cpu    = 1024
      memory = 2048
      user   = "999:999"
      environment = {
        RABBITMQ_NODENAME      = "rabbit@localhost" # its data belongs to a name, which must outlive the task
        RABBITMQ_DEFAULT_USER  = "holdfast"
        RABBITMQ_DEFAULT_VHOST = "holdfast"
      }
      secrets      = { RABBITMQ_DEFAULT_PASS = var.secret_arns["rabbitmq-password"] }
      ports        = { amqp = 5672, management = 15672, metrics = 15692 }
      writable     = { "/tmp" = 64, "/etc/rabbitmq/conf.d" = 1 }
      stop_timeout = 60
      health_check = { command = ["CMD", "rabbitmq-diagnostics", "-q", "check_running"], timeout = 10, retries = 5, start_period = 120 }
    }

    redis = {
      image  = var.images.redis
      cpu    = 256
      memory = 1024
      user   = "999:999"
      command = ["sh", "-c", join(" ", [
        "exec docker-entrypoint.sh redis-server --dir /data --appendonly yes --appendfsync everysec --save \"\"",
        "--maxmemory 512mb --maxmemory-policy noeviction --requirepass \"$REDISCLI_AUTH\"",
      ])]
      secrets      = { REDISCLI_AUTH = var.secret_arns["redis-password"] }
      ports        = { redis = 6379 }
      stop_timeout = 30
      health_check = { command = ["CMD-SHELL", "redis-cli ping | grep -q PONG"], interval = 5, timeout = 3, retries = 5 }
    }

    postgres = {
      image        = var.images.postgres
      cpu          = 1024
      memory       = 2048
      user         = "999:999"
      command      = ["postgres", "-c", "max_connections=200", "-c", "max_wal_size=512MB", "-c", "timezone=UTC"]
      environment  = { POSTGRES_USER = "holdfast", POSTGRES_DB = "holdfast" }
      secrets      = { POSTGRES_PASSWORD = var.secret_arns["postgres-password"] }
      ports        = { postgres = 5432 }
      writable     = { "/tmp" = 64, "/run/postgresql" = 1 }
      stop_timeout = 60
      health_check = { command = ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "holdfast", "-d", "holdfast"], interval = 5, timeout = 3, retries = 5 }
    }

    prometheus = {
      image        = var.images.prometheus
      cpu          = 512
      memory       = 2048
      user         = "65534:65534"
      environment  = { HOLDFAST_DNS_SUFFIX = ".${module.cluster.namespace_name}" }
      ports        = { http = 9090 }
      stop_timeout = 30
      health_check = { command = ["CMD", "promtool", "check", "ready", "--url=http://127.0.0.1:9090"] }
    }

    grafana = {
      image  = var.images.grafana
      cpu    = 256
      memory = 512
      user   = "472:0"
      environment = merge(
        { for key in ["HOLDFAST_PAGERDUTY_KEY", "HOLDFAST_SLACK_WEBHOOK_URL", "HOLDFAST_ALERT_WEBHOOK_URL"] : key => "" if !contains(keys(var.paging), key) },
        var.grafana_host == null ? {} : { GF_SERVER_ROOT_URL = "https://${var.grafana_host}" },
        {
          GF_ANALYTICS_REPORTING_ENABLED = "false"
          GF_ANALYTICS_CHECK_FOR_UPDATES = "false"
          GF_USERS_ALLOW_SIGN_UP         = "false"
          HOLDFAST_ALERT_EMAIL           = var.alert_email
          HOLDFAST_PROMETHEUS_URL        = "http://prometheus.${module.cluster.namespace_name}:9090"
        },
      )
      secrets = merge(
        { GF_SECURITY_ADMIN_PASSWORD = var.secret_arns["grafana-admin-password"] },
        { for key, secret in var.paging : key => var.secret_arns[secret] },
      )
      ports        = { http = 3000 }
      stop_timeout = 30
      health_check = { command = ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:3000/api/health"] }
    }
  }
}
