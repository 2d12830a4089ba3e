variable "name" {
  description = "Prefix of the names of everything the service has."
  type        = string
}

variable "service" {
  description = "Name of the service, as in docker-compose.yml."
  type        = string
}

variable "region" {
  description = "Region, for the log driver and the ARNs of policies."
  type        = string
}

variable "account_id" {
  description = "Account, for the ARNs of policies."
  type        = string
}

variable "cluster_arn" {
  description = "Cluster in which the tasks run."
  type        = string
}

variable "namespace_id" {
  description = "Namespace in which the service gets its name."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of the tasks."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the tasks."
  type        = string
}

variable "container" {
  description = "What runs, and on how much; each field as in the module `task`."
  type = object({
    image        = string
    architecture = optional(string, "X86_64")
    cpu          = number
    memory       = number
    user         = string
    command      = optional(list(string), [])
    environment  = optional(map(string), {})
    secrets      = optional(map(string), {})
    ports        = optional(map(number), {})
    stop_timeout = optional(number, 120)
    writable     = optional(map(number), { "/tmp" = 64 })
    health_check = object({
      command      = list(string)
      interval     = optional(number, 10)
      timeout      = optional(number, 5)
      retries      = optional(number, 3)
      start_period = optional(number, 60)
    })
  })
}

variable "first_tasks" {
  description = "Tasks that the service is made with; afterwards autoscaling, or a person, decides."
  type        = number
  default     = 1

  validation {
    condition     = var.first_tasks >= 0
    error_message = "first_tasks must not be negative."
  }
}

variable "single" {
  description = "Whether there must never be two: a service that keeps files for itself. It is away while it is deployed."
  type        = bool
  default     = false
}

variable "capacity" {
  description = "Where tasks are placed, by capacity provider: `base` tasks first, the rest by `weight`."
  type        = map(object({ base = optional(number, 0), weight = optional(number, 1) }))
  default     = { FARGATE = {} }

  validation {
    condition     = length(var.capacity) > 0 && alltrue([for provider in keys(var.capacity) : contains(["FARGATE", "FARGATE_SPOT"], provider)])
    error_message = "capacity must name FARGATE, FARGATE_SPOT or both."
  }
}

variable "files" {
  description = "Folder that is kept on the file system, through an access point; null for a service that keeps nothing."
  type = object({
    path             = string
    file_system_id   = string
    file_system_arn  = string
    access_point_id  = string
    access_point_arn = string
  })
  default = null
}

variable "load_balancer" {
  description = "Target group that the tasks join, and the port that they are called on; null for a service that only its neighbours call."
  type        = object({ target_group_arn = string, port = number })
  default     = null
}

variable "permissions" {
  description = "What the processes themselves may do in AWS, by name."
  type = map(object({
    actions   = list(string)
    resources = list(string)
    condition = optional(map(map(string)), {})
  }))
  default = {}
}

variable "kms_key_arn" {
  description = "Key that encrypts the log and the secrets."
  type        = string
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
