variable "name" {
  description = "Prefix of the names of everything the task has."
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

variable "cluster_name" {
  description = "Cluster in which the task runs."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of the task."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the task, from which the database may be called."
  type        = string
}

variable "image" {
  description = "Holdfast's image by digest: the one that the services are about to run."
  type        = string
}

variable "architecture" {
  description = "Processor that the image is built for."
  type        = string
  default     = "X86_64"
}

variable "user" {
  description = "User and group of the process, as numbers."
  type        = string
}

variable "environment" {
  description = "Environment variables that anybody may read."
  type        = map(string)
  default     = {}
}

variable "secrets" {
  description = "Environment variables whose value is read from Secrets Manager at start: ARNs by variable."
  type        = map(string)

  validation {
    condition     = contains(keys(var.secrets), "HOLDFAST_POSTGRES_URL")
    error_message = "secrets must have HOLDFAST_POSTGRES_URL: the task changes the ledger's schema."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the log and the secrets."
  type        = string
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}
