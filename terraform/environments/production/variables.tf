variable "name" {
  description = "Name of the environment, and prefix of everything in it."
  type        = string
  default     = "holdfast-production"
}

variable "region" {
  description = "Region of everything."
  type        = string
  default     = "eu-central-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the name of a region, such as eu-central-1."
  }
}

variable "images" {
  description = "Images by digest, as `make images` and the release name them."
  type = object({
    holdfast   = string
    render     = optional(string)
    prometheus = string
    grafana    = string
    rabbitmq   = optional(string)
    redis      = optional(string)
    postgres   = optional(string)
  })
}

variable "certificate_arn" {
  description = "Certificate of ACM, in the same region, for the names of api and Grafana."
  type        = string
}

variable "grafana_host" {
  description = "Name under which browsers call Grafana; null: it is reached from inside the VPC only."
  type        = string
  default     = null
}

variable "emails" {
  description = "Addresses that CloudWatch's alarms and the budget write to."
  type        = set(string)
}

variable "alert_email" {
  description = "Addresses that Grafana's alerts go to, separated by `;`; empty: to none."
  type        = string
  default     = ""
}

variable "paging" {
  description = "Whom Grafana pages: names of secrets, which are made empty and filled in by hand, by variable. Attach one only once it is filled, or Grafana cannot start."
  type        = map(string)
  default     = {}
}

variable "settings" {
  description = "More `HOLDFAST_*` settings for api and workers."
  type        = map(string)
  default     = {}
}

variable "secret_version" {
  description = "Raise it to draw all passwords and the signing key anew; the guide says in which order things follow."
  type        = number
  default     = 1
}

variable "tags" {
  description = "More tags for everything."
  type        = map(string)
  default     = {}
}

variable "managed" {
  description = "Which of the three AWS runs; those it does not run on Fargate, on one node, with an EFS disk and the limits of dev."
  type        = object({ broker = bool, cache = bool, database = bool })
  default     = { broker = true, cache = true, database = true }
}

variable "tasks" {
  description = "Fewest and most tasks of api and workers."
  type = object({
    api            = object({ least = number, most = number })
    worker-render  = object({ least = number, most = number })
    worker-webhook = object({ least = number, most = number })
  })
  default = {
    api            = { least = 2, most = 10 }
    worker-render  = { least = 2, most = 20 }
    worker-webhook = { least = 2, most = 20 }
  }
}

variable "spot" {
  description = "Share of the workers beyond the first that run on Fargate Spot, from 0 to 4 of 4."
  type        = number
  default     = 3
}

variable "broker" {
  description = "Amazon MQ: size of a node, and `CLUSTER_MULTI_AZ` or `SINGLE_INSTANCE`."
  type        = object({ instance_type = optional(string), deployment_mode = optional(string) })
  default     = { instance_type = "mq.m7g.large" }
}

variable "cache" {
  description = "ElastiCache: size of a node, and replicas beside the primary."
  type        = object({ node_type = optional(string), replicas = optional(number) })
  default     = {}
}

variable "database" {
  description = "RDS: size, disk in GiB, days that can be gone back to."
  type = object({
    instance_class    = optional(string)
    storage_gib       = optional(number)
    storage_limit_gib = optional(number)
    backup_days       = optional(number)
    multi_az          = optional(bool)
  })
  default = {}
}

variable "waf" {
  description = "Requests from one address within five minutes past which it is refused; null: there is no firewall."
  type        = object({ requests_per_address = number })
  default     = { requests_per_address = 100000 }
}

variable "deletion_protection" {
  description = "Whether database, load balancer, buckets and secrets refuse to be deleted. Off only to tear the environment down."
  type        = bool
  default     = true
}

variable "monthly_budget_usd" {
  description = "What a month may cost before the budget writes."
  type        = number
  default     = 2500
}
