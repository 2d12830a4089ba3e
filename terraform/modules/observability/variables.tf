variable "name" {
  description = "Prefix of alarms, rules and the topic."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name must be 2 to 31 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "cluster_name" {
  description = "Name of the ECS cluster, whose events are watched."
  type        = string
}

variable "services" {
  description = "Services on Fargate, with the least number of tasks each must have; 0 where a service may sleep."
  type        = map(number)

  validation {
    condition     = length(var.services) > 0
    error_message = "services must name at least one service."
  }
}

variable "metric_namespace" {
  description = "CloudWatch namespace that the steward writes to, once a minute."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the log of events and the topic. Its policy must let CloudWatch, EventBridge and Budgets use it."
  type        = string
}

variable "log_retention_days" {
  description = "Days that the log of tasks that ended is kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731], var.log_retention_days)
    error_message = "log_retention_days must be one that CloudWatch offers: 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545 or 731."
  }
}

variable "emails" {
  description = "Addresses that get every alarm; each has to confirm once."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.emails : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "emails must be e-mail addresses."
  }
}

variable "monthly_budget_usd" {
  description = "What the environment may cost a month; told at 80 % spent and when 100 % is forecast."
  type        = number

  validation {
    condition     = var.monthly_budget_usd > 0
    error_message = "monthly_budget_usd must be above 0."
  }
}

variable "budget_tag" {
  description = "Tag by which the budget knows what belongs to it, activated for cost allocation; null: the whole account."
  type        = object({ key = string, value = string })
  default     = null
}

variable "load_balancer" {
  description = "The api's load balancer and target group, as CloudWatch names them; null: no alarm."
  type        = object({ suffix = string, target_group_suffix = string })
  default     = null
}

variable "broker_name" {
  description = "Name of the broker of Amazon MQ; null where RabbitMQ runs on Fargate."
  type        = string
  default     = null
}

variable "cache_member_ids" {
  description = "Ids of the nodes of ElastiCache; empty where Redis runs on Fargate."
  type        = set(string)
  default     = []
}

variable "database_instance_id" {
  description = "Identifier of the RDS instance; null where PostgreSQL runs on Fargate."
  type        = string
  default     = null
}
