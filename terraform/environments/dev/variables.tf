variable "name" {
  description = "Name of the environment, and prefix of everything in it."
  type        = string
  default     = "holdfast-dev"
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

variable "admit" {
  description = "Networks (CIDR) that may call: an office, a VPN, or everybody."
  type        = set(string)
  default     = ["0.0.0.0/0"]
}

variable "deletion_protection" {
  description = "Whether buckets, load balancer and secrets refuse to be deleted. Here everything may go at any time."
  type        = bool
  default     = false
}

variable "monthly_budget_usd" {
  description = "What a month may cost before the budget writes."
  type        = number
  default     = 400
}
