variable "name" {
  description = "Prefix of the names of policies and alarms."
  type        = string
}

variable "cluster_name" {
  description = "Cluster of the service."
  type        = string
}

variable "service_name" {
  description = "Service that is scaled."
  type        = string
}

variable "least" {
  description = "Fewest tasks. 0 costs nothing while there is nothing to do, and a minute or two when something comes."
  type        = number

  validation {
    condition     = var.least >= 0
    error_message = "least must not be negative."
  }
}

variable "most" {
  description = "Most tasks: the limit of what load can cost, and of what a downstream has to bear."
  type        = number

  validation {
    condition     = var.most >= 1 && var.most >= var.least
    error_message = "most must be at least 1, and not below least."
  }
}

variable "backlog" {
  description = "Scale on the jobs that wait for each task: where the steward writes their number, and how many may wait. Null: not."
  type        = object({ metric_namespace = string, per_task = number })
  default     = null

  validation {
    condition     = try(var.backlog.per_task >= 1, true)
    error_message = "backlog.per_task must be at least 1 job."
  }
}

variable "requests" {
  description = "Scale on the requests a minute that each task answers: the suffixes of the ARNs of load balancer and target group, and how many may come. Null: not."
  type        = object({ load_balancer_suffix = string, target_group_suffix = string, per_task = number })
  default     = null
}

variable "cpu_percent" {
  description = "Scale on the average load of the processors, too; null: not."
  type        = number
  default     = null

  validation {
    condition     = try(var.cpu_percent >= 10 && var.cpu_percent <= 90, true)
    error_message = "cpu_percent must be between 10 and 90."
  }
}

variable "out_cooldown" {
  description = "Seconds after more tasks were asked for until still more are."
  type        = number
  default     = 60
}

variable "in_cooldown" {
  description = "Seconds after a task was let go until the next is."
  type        = number
  default     = 300
}
