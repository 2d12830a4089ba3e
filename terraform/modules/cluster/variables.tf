variable "name" {
  description = "Name of the cluster; the names of services end in `<name>.internal`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name must be 2 to 31 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "vpc_id" {
  description = "VPC in which the names of services can be looked up."
  type        = string
}

variable "container_insights" {
  description = "How closely CloudWatch watches tasks: `enabled` counts them, `enhanced` watches each container, for more money."
  type        = string
  default     = "enabled"

  validation {
    condition     = contains(["enabled", "enhanced"], var.container_insights)
    error_message = "container_insights must be enabled or enhanced: the alarms read what it writes."
  }
}

variable "log_retention_days" {
  description = "Days that the record of `aws ecs execute-command` is kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts sessions of `aws ecs execute-command` and their record."
  type        = string
}
