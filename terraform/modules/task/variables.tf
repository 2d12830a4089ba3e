variable "name" {
  description = "Prefix of the names of roles, log group and task definition."
  type        = string
}

variable "service" {
  description = "Name of the service, as in docker-compose.yml."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z-]{1,30}$", var.service))
    error_message = "service must be lower-case letters and hyphens."
  }
}

variable "region" {
  description = "Region, for the log driver and the ARNs of policies."
  type        = string
}

variable "account_id" {
  description = "Account, for the ARNs of policies."
  type        = string
}

variable "image" {
  description = "Image by digest, `repository@sha256:…`: what was tested is what runs, today and after a rollback."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image must name a digest (repository@sha256:…): a tag can move between two tasks of one service."
  }
}

variable "architecture" {
  description = "Processor that the image is built for."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "architecture must be X86_64 or ARM64."
  }
}

variable "cpu" {
  description = "CPU units: 1024 are one processor."
  type        = number

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.cpu)
    error_message = "cpu must be one of Fargate's sizes: 256, 512, 1024, 2048, 4096, 8192 or 16384."
  }
}

variable "memory" {
  description = "Memory in MiB; Fargate allows two to eight times as many GiB as there are processors, and less for small ones."
  type        = number

  validation {
    condition     = var.memory >= 2 * var.cpu && var.memory <= 8 * var.cpu
    error_message = "memory must be between twice and eight times cpu, as Fargate asks."
  }
}

variable "user" {
  description = "User and group of the process, as numbers."
  type        = string

  validation {
    condition     = can(regex("^[1-9][0-9]*:[0-9]+$", var.user))
    error_message = "user must be numbers, uid:gid, and not root."
  }
}

variable "command" {
  description = "What the image is told to run; empty: what it runs by itself."
  type        = list(string)
  default     = []
}

variable "environment" {
  description = "Environment variables that anybody may read."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Environment variables whose value is read from Secrets Manager at start: ARNs by variable."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:", arn))])
    error_message = "secrets must be ARNs of Secrets Manager, never values."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the log and the secrets."
  type        = string
}

variable "ports" {
  description = "TCP ports that the container listens on, by name."
  type        = map(number)
  default     = {}
}

variable "health_check" {
  description = "Command that succeeds while the container is well (`CMD` or `CMD-SHELL` first), with its times in seconds; null for a task that runs once."
  type = object({
    command      = list(string)
    interval     = optional(number, 10)
    timeout      = optional(number, 5)
    retries      = optional(number, 3)
    start_period = optional(number, 60)
  })
  default = null

  validation {
    condition     = var.health_check == null || can(regex("^CMD(-SHELL)?$", var.health_check.command[0]))
    error_message = "health_check.command must begin with CMD or CMD-SHELL."
  }
}

variable "stop_timeout" {
  description = "Seconds from SIGTERM to SIGKILL."
  type        = number
  default     = 120

  validation {
    condition     = var.stop_timeout >= 2 && var.stop_timeout <= 120
    error_message = "stop_timeout must be between 2 and 120 seconds, which is the most that Fargate grants."
  }
}

variable "writable" {
  description = "Folders in memory that the process may write to, with their size in MiB; the rest of its file system is read-only."
  type        = map(number)
  default     = { "/tmp" = 64 }
}

variable "files" {
  description = "Folder that is kept on the file system, through an access point of its own; null for a task that keeps nothing."
  type = object({
    path             = string
    file_system_id   = string
    file_system_arn  = string
    access_point_id  = string
    access_point_arn = string
  })
  default = null
}

variable "open_files" {
  description = "Files and sockets that the process may have open."
  type        = number
  default     = 65536
}

variable "permissions" {
  description = "What the process itself may do in AWS, by name."
  type = map(object({
    actions   = list(string)
    resources = list(string)
    condition = optional(map(map(string)), {})
  }))
  default = {}

  validation {
    condition     = alltrue([for it in values(var.permissions) : !contains(it.actions, "*")])
    error_message = "permissions must name their actions."
  }
}

variable "shell" {
  description = "Where sessions of `aws ecs execute-command` are recorded; null: nobody gets a shell in the container."
  type        = object({ log_group_arn = string })
  default     = null
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}
