variable "name" {
  description = "Name of the replication group."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,38}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name must be 2 to 40 lower-case letters, digits and single hyphens, and begin with a letter."
  }
}

variable "vpc_id" {
  description = "VPC of the cache."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets without a way to the internet, by zone."
  type        = map(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids must have at least two subnets, for a replica in another zone."
  }
}

variable "client_security_group_ids" {
  description = "Security groups that may connect, by the name of their service."
  type        = map(string)
}

variable "engine_version" {
  description = "Version of Redis."
  type        = string
  default     = "7.1"

  validation {
    condition     = can(regex("^7\\.[1-9]$", var.engine_version))
    error_message = "engine_version must be 7.1 or a later 7.x."
  }
}

variable "node_type" {
  description = "Size of each node."
  type        = string
  default     = "cache.t4g.small"

  validation {
    condition     = startswith(var.node_type, "cache.")
    error_message = "node_type must be a node type of ElastiCache, such as cache.t4g.small."
  }
}

variable "replicas" {
  description = "Replicas beside the primary; 0 has no failover."
  type        = number
  default     = 1

  validation {
    condition     = var.replicas >= 0 && var.replicas <= 5
    error_message = "replicas must be between 0 and 5."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts snapshots and what is swapped at rest."
  type        = string
}

variable "initial_password" {
  description = "Password (AUTH token) that the cache is made with. It ends up in the state; change it afterwards (README)."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.initial_password) >= 16 && length(var.initial_password) <= 128 && !can(regex("[^A-Za-z0-9!&#$^<>-]", var.initial_password))
    error_message = "initial_password must have 16 to 128 letters, digits and !&#$^<>- (ElastiCache)."
  }
}

variable "snapshot_days" {
  description = "Days that a daily snapshot is kept. Nothing in Redis is the truth, so one is enough."
  type        = number
  default     = 1

  validation {
    condition     = var.snapshot_days >= 0 && var.snapshot_days <= 35
    error_message = "snapshot_days must be between 0 and 35."
  }
}

variable "maintenance_window" {
  description = "When AWS may patch, UTC, after the snapshot's hour."
  type        = string
  default     = "tue:05:00-tue:06:00"
}
