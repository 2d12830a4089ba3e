variable "name" {
  description = "Name of the load balancer."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,24}$", var.name))
    error_message = "name must be 2 to 25 lower-case letters, digits and hyphens: target groups add to it, and may have 32."
  }
}

variable "vpc_id" {
  description = "VPC of the targets."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets, in two zones or more."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the load balancer, which may call the targets."
  type        = string
}

variable "admit" {
  description = "Networks (CIDR) that may call."
  type        = set(string)
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for network in var.admit : can(cidrnetmask(network))])
    error_message = "admit must be IPv4 networks, such as 203.0.113.0/24."
  }
}

variable "certificate_arn" {
  description = "Certificate of ACM for the names under which api and Grafana are called."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:", var.certificate_arn))
    error_message = "certificate_arn must be the ARN of a certificate in ACM: nothing is served without TLS."
  }
}

variable "api" {
  description = "Port of the api, and the path that says whether a task may have requests."
  type        = object({ port = number, health_path = string })
}

variable "grafana" {
  description = "Name under which browsers call Grafana, its port, and its health path; null: it is reached from inside the VPC only."
  type        = object({ host = string, port = number, health_path = string })
  default     = null
}

variable "log_bucket" {
  description = "Name of the bucket for access logs, which this module makes; bucket names are unique in the world."
  type        = string
}

variable "log_retention_days" {
  description = "Days that access logs are kept."
  type        = number
}

variable "log_account_id" {
  description = "Account of this environment: the prefix of what the load balancer may write."
  type        = string
}

variable "waf" {
  description = "Requests from one address within five minutes past which it is refused, beside AWS's managed rules; null: there is no firewall."
  type        = object({ requests_per_address = number })
  default     = null
}

variable "kms_key_arn" {
  description = "Key that encrypts the firewall's log."
  type        = string
}

variable "deletion_protection" {
  description = "Whether the load balancer refuses to be deleted, and its bucket to be emptied."
  type        = bool
  default     = true
}
