variable "name" {
  description = "Name of the environment, and prefix of everything in it, such as `holdfast-dev`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name))
    error_message = "name must be 2 to 20 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "zones" {
  description = "Availability zones of the region, two or three; Amazon MQ's cluster wants three."
  type        = list(string)
}

variable "cidr" {
  description = "Addresses of the VPC, a /16 that no network overlaps with which the VPC may ever be joined."
  type        = string
  default     = "10.20.0.0/16"
}

variable "nat" {
  description = "`one` NAT gateway for all zones, or one in `each-zone`."
  type        = string
  default     = "each-zone"
}

variable "managed" {
  description = "Which of the three AWS runs (Amazon MQ, ElastiCache, RDS); those it does not run on Fargate, on one node, with an EFS disk."
  type        = object({ broker = bool, cache = bool, database = bool })
}

variable "images" {
  description = "Images by digest, in ECR: Holdfast's own (`render` where worker-render has another, with Chromium), and those of the services beside it. What AWS manages needs none."
  type = object({
    holdfast   = string
    render     = optional(string)
    prometheus = string
    grafana    = string
    rabbitmq   = optional(string)
    redis      = optional(string)
    postgres   = optional(string)
  })

  validation {
    condition     = alltrue([for image in values(var.images) : image == null || can(regex("@sha256:[0-9a-f]{64}$", image))])
    error_message = "Each of images must name a digest (repository@sha256:…)."
  }

  validation {
    condition = alltrue([
      var.managed.broker || var.images.rabbitmq != null,
      var.managed.cache || var.images.redis != null,
      var.managed.database || var.images.postgres != null,
    ])
    error_message = "images must have rabbitmq, redis and postgres, but for those that managed leaves to AWS."
  }
}

variable "architecture" {
  description = "Processor that the images are built for."
  type        = string
  default     = "X86_64"
}

variable "sizes" {
  description = "CPU units and MiB of memory by service, where they differ from what the module says."
  type        = map(object({ cpu = number, memory = number }))
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.sizes), local.names)) == 0
    error_message = "sizes must name services of docker-compose.yml."
  }
}

variable "tasks" {
  description = "Fewest and most tasks of api and workers. A worker that may have none is woken by the first job."
  type = object({
    api            = object({ least = number, most = number })
    worker-render  = object({ least = number, most = number })
    worker-webhook = object({ least = number, most = number })
  })

  validation {
    condition     = var.tasks.api.least >= 1
    error_message = "tasks.api.least must be at least 1: without an api nothing is accepted, and there is no steward."
  }
}

variable "spot" {
  description = "Share of the workers beyond the first that run on Fargate Spot, from 0 to 4 of 4. Their jobs are given back when AWS takes them."
  type        = number
  default     = 3

  validation {
    condition     = contains([0, 1, 2, 3, 4], var.spot)
    error_message = "spot must be 0, 1, 2, 3 or 4 of 4."
  }
}

variable "backlog_per_task" {
  description = "Jobs that may wait for each task before there are more: about what one does in the wait that is bearable."
  type        = object({ worker-render = number, worker-webhook = number })
  default     = { worker-render = 20, worker-webhook = 2000 }
}

variable "requests_per_task" {
  description = "Requests a minute that each api task answers before there are more."
  type        = number
  default     = 6000
}

variable "settings" {
  description = "More `HOLDFAST_*` settings for api and workers (docs/guides/configuration.md)."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.settings) : startswith(key, "HOLDFAST_") && !can(regex("(_KEY|_KEYS|_URL)$", key))])
    error_message = "settings must be HOLDFAST_* settings, and none that holds a secret or that the module sets itself."
  }
}

variable "secret_arns" {
  description = "ARNs by the names that the README lists; known only once the values are written."
  type        = map(string)
}

variable "paging" {
  description = "Whom Grafana pages: names in secret_arns by variable, such as `HOLDFAST_PAGERDUTY_KEY = \"pagerduty-key\"`."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.paging), ["HOLDFAST_PAGERDUTY_KEY", "HOLDFAST_SLACK_WEBHOOK_URL", "HOLDFAST_ALERT_WEBHOOK_URL"])) == 0
    error_message = "paging knows HOLDFAST_PAGERDUTY_KEY, HOLDFAST_SLACK_WEBHOOK_URL and HOLDFAST_ALERT_WEBHOOK_URL."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts everything at rest."
  type        = string
}

variable "database_password" {
  description = "Password of the ledger's owner, for RDS; ephemeral, hence in no state."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "initial_password" {
  description = "Password that Amazon MQ and ElastiCache are made with, to be changed at once (README); null where neither is managed."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.initial_password != null || !(var.managed.broker || var.managed.cache)
    error_message = "initial_password must be given where Amazon MQ or ElastiCache is managed."
  }
}

variable "certificate_arn" {
  description = "Certificate of ACM for the names of api and Grafana."
  type        = string
}

variable "grafana_host" {
  description = "Name under which browsers call Grafana; null: it is reached from inside the VPC only."
  type        = string
  default     = null
}

variable "admit" {
  description = "Networks (CIDR) that may call the load balancer."
  type        = set(string)
  default     = ["0.0.0.0/0"]
}

variable "waf" {
  description = "Requests from one address within five minutes past which it is refused; null: there is no firewall."
  type        = object({ requests_per_address = number })
  default     = null
}

variable "shell" {
  description = "Whether `aws ecs execute-command` opens a shell in api and workers, recorded in the log."
  type        = bool
  default     = false
}

variable "broker" {
  description = "Amazon MQ: size of a node, and `CLUSTER_MULTI_AZ` or `SINGLE_INSTANCE`."
  type        = object({ instance_type = optional(string, "mq.m7g.medium"), deployment_mode = optional(string, "CLUSTER_MULTI_AZ") })
  default     = {}
}

variable "cache" {
  description = "ElastiCache: size of a node, and replicas beside the primary."
  type        = object({ node_type = optional(string, "cache.t4g.small"), replicas = optional(number, 1) })
  default     = {}
}

variable "database" {
  description = "RDS: size, disk in GiB, days that can be gone back to, and whether there is a standby. Raise password_version to set the password anew."
  type = object({
    instance_class    = optional(string, "db.m7g.large")
    storage_gib       = optional(number, 100)
    storage_limit_gib = optional(number, 1000)
    backup_days       = optional(number, 14)
    multi_az          = optional(bool, true)
    password_version  = optional(number, 1)
  })
  default = {}
}

variable "deletion_protection" {
  description = "Whether database, load balancer and buckets refuse to be deleted. Off only for environments that come and go."
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365, 400, 731], var.log_retention_days)
    error_message = "log_retention_days must be one of CloudWatch's: 7, 14, 30, 60, 90, 180, 365, 400 or 731."
  }
}

variable "emails" {
  description = "Addresses that CloudWatch's alarms and the budget write to; each has to confirm once."
  type        = set(string)
  default     = []
}

variable "alert_email" {
  description = "Addresses that Grafana's alerts go to, separated by `;`; empty: to none (needs GF_SMTP_* settings)."
  type        = string
  default     = ""
}

variable "monthly_budget_usd" {
  description = "What a month may cost before the budget writes."
  type        = number
}
