variable "name" {
  description = "Name of the broker; unique in the account and region."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,50}$", var.name))
    error_message = "name must be 1 to 50 letters, digits, hyphens and underscores, as Amazon MQ asks."
  }
}

variable "vpc_id" {
  description = "VPC of the broker."
  type        = string
}

variable "subnet_ids" {
  description = "Subnets without a way to the internet, by zone."
  type        = map(string)
}

variable "client_security_group_ids" {
  description = "Security groups that may connect, by the name of their service."
  type        = map(string)
}

variable "engine_version" {
  description = "RabbitMQ's version. Holdfast needs 4.3; Amazon MQ chooses the patch."
  type        = string
  default     = "4.3"

  validation {
    condition     = can(regex("^4\\.([3-9]|[1-9][0-9])$", var.engine_version))
    error_message = "engine_version must be 4.3 or a later 4.x, without a patch: older brokers lack what Holdfast relies on."
  }
}

variable "instance_type" {
  description = "Size of each node. RabbitMQ 4 runs on mq.m7g only."
  type        = string
  default     = "mq.m7g.medium"

  validation {
    condition     = can(regex("^mq\\.m7g\\.(medium|large|xlarge|[0-9]+xlarge)$", var.instance_type))
    error_message = "instance_type must be one of the mq.m7g family: Amazon MQ runs RabbitMQ 4 on no other."
  }
}

variable "deployment_mode" {
  description = "`CLUSTER_MULTI_AZ` has three nodes; `SINGLE_INSTANCE` loses the queue's availability with its node."
  type        = string
  default     = "CLUSTER_MULTI_AZ"

  validation {
    condition     = contains(["CLUSTER_MULTI_AZ", "SINGLE_INSTANCE"], var.deployment_mode)
    error_message = "deployment_mode must be CLUSTER_MULTI_AZ or SINGLE_INSTANCE."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the queues at rest."
  type        = string
}

variable "username" {
  description = "Name of the broker's first user, who is an administrator."
  type        = string
  default     = "holdfast"
}

variable "initial_password" {
  description = "Password that the broker is made with. It ends up in the state; change it afterwards (README)."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.initial_password) >= 12 && !can(regex("[,:= ]", var.initial_password))
    error_message = "initial_password must have 12 characters or more, and no comma, colon, equals sign or space (Amazon MQ)."
  }
}

variable "maintenance" {
  description = "When AWS may restart nodes, one after the other: `{ day, time }`, UTC."
  type        = object({ day = string, time = string })
  default     = { day = "TUESDAY", time = "04:00" }

  validation {
    condition     = can(regex("^(MON|TUES|WEDNES|THURS|FRI|SATUR|SUN)DAY$", var.maintenance.day)) && can(regex("^[0-2][0-9]:[0-5][0-9]$", var.maintenance.time))
    error_message = "maintenance must be a day such as TUESDAY and a time such as 04:00."
  }
}
