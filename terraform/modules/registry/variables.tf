variable "name" {
  description = "Prefix of every repository: `name/repository`."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name must be 2 to 31 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "repositories" {
  description = "Repositories to make, one for each image that is built or copied."
  type        = set(string)

  validation {
    condition     = length(var.repositories) > 0
    error_message = "repositories must name at least one image."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the layers at rest. It cannot be changed without making the repositories anew."
  type        = string
}

variable "keep_images" {
  description = "How many images of each repository are kept, the newest first; a rollback can reach back that far."
  type        = number
  default     = 50

  validation {
    condition     = var.keep_images >= 5
    error_message = "keep_images must be at least 5, or a rollback may find nothing to go back to."
  }
}

variable "untagged_days" {
  description = "Days after which an image without a tag is removed."
  type        = number
  default     = 14

  validation {
    condition     = var.untagged_days >= 1
    error_message = "untagged_days must be at least 1."
  }
}

variable "force_delete" {
  description = "Whether destroying a repository removes the images in it. Only for environments that come and go."
  type        = bool
  default     = false
}
