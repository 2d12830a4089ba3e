variable "name" {
  description = "Prefix of the names of everything in the network."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}$", var.name))
    error_message = "name must be 2 to 31 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "region" {
  description = "Region, for the names of the endpoints."
  type        = string
}

variable "zones" {
  description = "Availability zones, two or three: each gets a public, a private and a data subnet."
  type        = list(string)

  validation {
    condition     = length(var.zones) >= 2 && length(var.zones) <= 3 && length(distinct(var.zones)) == length(var.zones)
    error_message = "zones must name two or three different availability zones, as the load balancer and the database ask."
  }
}

variable "cidr" {
  description = "Addresses of the VPC, a /16."
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrnetmask(var.cidr)) && endswith(var.cidr, "/16")
    error_message = "cidr must be an IPv4 block of size /16, such as 10.20.0.0/16."
  }
}

variable "nat" {
  description = "`one` NAT gateway for all zones, or one in `each-zone`, so that a zone that fails takes no other's way out along."
  type        = string
  default     = "each-zone"

  validation {
    condition     = contains(["one", "each-zone"], var.nat)
    error_message = "nat must be one or each-zone."
  }
}

variable "interface_endpoints" {
  description = "Services of AWS that are reached inside the VPC: what a task needs to start. The S3 gateway is always there and costs nothing."
  type        = set(string)
  default     = ["ecr.api", "ecr.dkr", "logs", "secretsmanager"]
}

variable "services" {
  description = "Names that get a security group: the services on Fargate, the load balancer, the migration."
  type        = set(string)
}

variable "flows" {
  description = "Who may call whom on which TCP ports; the key says it in words. What is not here is refused."
  type        = map(object({ from = string, to = string, ports = list(number) }))

  validation {
    condition     = alltrue([for flow in var.flows : contains(var.services, flow.from) && contains(var.services, flow.to)])
    error_message = "flows must be between names of services."
  }
}

variable "out" {
  description = "Who may call the internet, on which TCP ports; the key says it in words."
  type        = map(object({ from = string, from_port = number, to_port = number }))

  validation {
    condition     = alltrue([for way in var.out : contains(var.services, way.from)])
    error_message = "out must be from names of services."
  }
}

variable "log_retention_days" {
  description = "Days that the flow log is kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts the flow log."
  type        = string
}
