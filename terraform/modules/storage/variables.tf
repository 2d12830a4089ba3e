variable "name" {
  description = "Prefix of the names of the file system and what belongs to it."
  type        = string
}

variable "bucket" {
  description = "Name of the bucket for artifacts; bucket names are unique in the world."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket must be 3 to 63 lower-case letters, digits and hyphens; dots would break TLS."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts artifacts and files at rest."
  type        = string
}

variable "undelete_days" {
  description = "Days that an artifact can be brought back after Holdfast, or somebody, removed it."
  type        = number
  default     = 7

  validation {
    condition     = var.undelete_days >= 1
    error_message = "undelete_days must be at least 1."
  }
}

variable "access_log_bucket" {
  description = "Bucket for the access log of the artifacts; null: none is kept."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether destroying the bucket removes the artifacts in it. Only for environments that come and go."
  type        = bool
  default     = false
}

variable "file_systems" {
  description = "Services that keep files, with the user and group of their containers. Empty: no file system is made."
  type        = map(object({ uid = number, gid = number }))
  default     = {}

  validation {
    condition     = alltrue([for user in values(var.file_systems) : user.uid > 0 && user.gid >= 0])
    error_message = "file_systems must not name the user 0: no container of Holdfast runs as root."
  }
}

variable "vpc_id" {
  description = "VPC of the file system; needed with file_systems."
  type        = string
  default     = null

  validation {
    condition     = length(var.file_systems) == 0 || var.vpc_id != null
    error_message = "vpc_id must be given with file_systems."
  }
}

variable "subnet_ids" {
  description = "Private subnets by zone, one mount target each."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(var.file_systems) == 0 || length(var.subnet_ids) > 0
    error_message = "subnet_ids must be given with file_systems, or nothing could mount them."
  }
}

variable "client_security_group_ids" {
  description = "Security groups that may mount, by the name of their service."
  type        = map(string)
  default     = {}
}
