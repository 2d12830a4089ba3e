variable "name" {
  description = "Prefix of every secret (`name/secret`), and the alias of the key."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name must be 2 to 31 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "generated" {
  description = "Secrets that are drawn at random, of letters and digits. Raise a version to draw one anew."
  type        = map(object({ length = optional(number, 40), version = optional(number, 1) }))
  default     = {}

  validation {
    condition     = alltrue([for secret in values(var.generated) : secret.length >= 24 && secret.length <= 128])
    error_message = "A generated secret must be 24 to 128 characters long."
  }

  validation {
    condition     = alltrue([for secret in values(var.generated) : secret.version >= 1])
    error_message = "The version of a generated secret begins at 1."
  }
}

variable "carried_over" {
  description = "Values for generated secrets that are not to be drawn, such as the encryption key of an environment that is restored elsewhere. Written with their version, as a drawn one would be."
  type        = map(string)
  default     = {}
  ephemeral   = true
  sensitive   = true
}

variable "composed" {
  description = "Secrets that are put together from others, such as URLs, with their versions. Raise a version to write one anew."
  type        = map(number)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.composed), keys(var.generated))) == 0
    error_message = "A secret is either generated or composed."
  }
}

variable "composed_values" {
  description = "What the composed secrets say, by name."
  type        = map(string)
  default     = {}
  ephemeral   = true
  sensitive   = true
}

variable "external" {
  description = "Secrets that come from elsewhere, such as PagerDuty's key: made empty, and filled in by hand."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setintersection(var.external, setunion(keys(var.generated), keys(var.composed)))) == 0
    error_message = "An external secret is neither generated nor composed."
  }
}

variable "recovery_days" {
  description = "Days that a deleted secret can be brought back; 0 removes at once, for environments that come and go."
  type        = number
  default     = 30

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "recovery_days must be 0, or between 7 and 30."
  }
}
