variable "name" {
  description = "Identifier of the instance."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,29}[a-z0-9]$", var.name)) && !strcontains(var.name, "--")
    error_message = "name must be 2 to 31 lower-case letters, digits and single hyphens, and begin with a letter."
  }
}

variable "vpc_id" {
  description = "VPC of the database."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets without a way to the internet, by zone."
  type        = map(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids must have at least two subnets: RDS asks for two zones even where it uses one."
  }
}

variable "client_security_group_ids" {
  description = "Security groups that may connect, by the name of their service."
  type        = map(string)
}

variable "engine_version" {
  description = "PostgreSQL's major version; RDS chooses the minor one."
  type        = string
  default     = "18"

  validation {
    condition     = contains(["17", "18"], var.engine_version)
    error_message = "engine_version must be 17 or 18, a major version without a minor one."
  }
}

variable "instance_class" {
  description = "Size of the instance, and of its standby."
  type        = string
  default     = "db.m7g.large"

  validation {
    condition     = startswith(var.instance_class, "db.")
    error_message = "instance_class must be an instance class of RDS, such as db.m7g.large."
  }
}

variable "database" {
  description = "Name of the database."
  type        = string
  default     = "holdfast"
}

variable "username" {
  description = "Name of the owner of everything in it."
  type        = string
  default     = "holdfast"
}

variable "password" {
  description = "Password of that user, from an ephemeral resource."
  type        = string
  ephemeral   = true
  sensitive   = true
}

variable "password_version" {
  description = "Raise it to set the password anew."
  type        = number
  default     = 1
}

variable "storage_gib" {
  description = "Size of the disk to begin with, in GiB."
  type        = number
  default     = 100

  validation {
    condition     = var.storage_gib >= 20
    error_message = "storage_gib must be at least 20, as gp3 asks."
  }
}

variable "storage_limit_gib" {
  description = "Size up to which the disk grows by itself, in GiB."
  type        = number
  default     = 1000

  validation {
    condition     = var.storage_limit_gib > var.storage_gib
    error_message = "storage_limit_gib must be above storage_gib, or the disk cannot grow."
  }
}

variable "multi_az" {
  description = "Whether a standby in another zone takes over when the instance fails."
  type        = bool
  default     = true
}

variable "backup_days" {
  description = "Days back to any second of which the database can be restored."
  type        = number
  default     = 14

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35
    error_message = "backup_days must be between 1 and 35."
  }
}

variable "deletion_protection" {
  description = "Whether the database refuses to be deleted, and leaves a last snapshot when it is. Off only for environments that come and go."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "Key that encrypts the disk, the backups, the logs and Performance Insights."
  type        = string
}

variable "log_retention_days" {
  description = "Days that the server's log is kept."
  type        = number
  default     = 90
}

variable "maintenance_window" {
  description = "When AWS may patch, UTC, after the backup's hour."
  type        = string
  default     = "wed:04:00-wed:05:00"
}
