variable "name" {
  description = "What everything is named after, and the log groups and secrets lie under."
  type        = string
  default     = "qsuite"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name))
    error_message = "Two to twenty small letters, digits and hyphens, a letter first."
  }
}

variable "region" {
  description = "The region, such as eu-central-1."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region's name, such as eu-central-1."
  }
}

variable "image" {
  description = "The image, by digest: REGISTRY/REPOSITORY@sha256:…; a tag may be moved, a digest not."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest: …@sha256: and 64 hexadecimal digits."
  }
}

variable "ecr_repository_arn" {
  description = "The repository of Amazon ECR that the image is in: what tasks may pull from."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/.+$", var.ecr_repository_arn))
    error_message = "An ARN of a repository of ECR."
  }
}

variable "certificate_arn" {
  description = "The certificate of ACM that the load balancer shows."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/.+$", var.certificate_arn))
    error_message = "An ARN of a certificate of ACM."
  }
}

variable "clients" {
  description = "Networks that clients come from."
  type        = set(string)

  validation {
    condition     = length(var.clients) > 0 && alltrue([for network in var.clients : can(cidrhost(network, 0))])
    error_message = "At least one network, such as 203.0.113.0/24."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC, a /16 to a /20."
  type        = string
  default     = "10.40.0.0/16"

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "A network between /16 and /20."
  }
}

variable "zones" {
  description = "In how many availability zones."
  type        = number
  default     = 3

  validation {
    condition     = var.zones >= 2 && var.zones <= 3
    error_message = "Two or three."
  }
}

variable "atlas_endpoint_service" {
  description = "The service name that Atlas shows for a private endpoint; null where MongoDB is reached through mongodb_networks."
  type        = string
  default     = null

  validation {
    condition     = var.atlas_endpoint_service == null || can(regex("^com\\.amazonaws\\.vpce\\.", var.atlas_endpoint_service))
    error_message = "A name that begins with com.amazonaws.vpce."
  }
}

variable "mongodb_networks" {
  description = "Networks of a MongoDB that is not behind a private endpoint: self-managed in a peered VPC, for example."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for network in var.mongodb_networks : can(cidrhost(network, 0)) && network != "0.0.0.0/0"])
    error_message = "Networks, and not the whole internet."
  }
}

variable "redis_node_type" {
  description = "The size of each of the two nodes of Redis. It holds streams and rate limits, nothing that lasts."
  type        = string
  default     = "cache.t4g.small"
}

variable "engine_size" {
  description = "CPU units and MiB of each of the two engine tasks. One engine uses one processor and a little more."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 2048, memory = 4096 }

  validation {
    condition     = contains([1024, 2048, 4096], var.engine_size.cpu) && var.engine_size.memory >= 2 * var.engine_size.cpu
    error_message = "1024, 2048 or 4096 units, and at least twice as many MiB, as Fargate has them."
  }
}

variable "gateway_size" {
  description = "CPU units and MiB of each gateway. It is one process with one loop: more than 1024 units are of no use."
  type        = object({ cpu = number, memory = number })
  default     = { cpu = 1024, memory = 2048 }

  validation {
    condition     = contains([512, 1024], var.gateway_size.cpu) && var.gateway_size.memory >= 2 * var.gateway_size.cpu
    error_message = "512 or 1024 units, and at least twice as many MiB, as Fargate has them."
  }
}

variable "gateways" {
  description = "How many gateways at least and at most."
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 10 }

  validation {
    condition     = var.gateways.min >= 2 && var.gateways.max >= var.gateways.min
    error_message = "At least two, and no more at least than at most."
  }
}

variable "alarm_topic_arn" {
  description = "The topic of SNS that alarms are told to; null for alarms that only show."
  type        = string
  default     = null
}

variable "access_log_bucket" {
  description = "A bucket for the load balancer's access log, which lets it write; null for none."
  type        = string
  default     = null
}

variable "log_days" {
  description = "How long logs are kept."
  type        = number
  default     = 90

  validation {
    condition     = contains([30, 60, 90, 180, 365, 731, 1827], var.log_days)
    error_message = "30, 60, 90, 180, 365, 731 or 1827 days."
  }
}

variable "deletion_protection" {
  description = "Refuse to delete the load balancer, and keep secrets for 30 days after they are."
  type        = bool
  default     = true
}

variable "settings" {
  description = "More settings of QSuite, such as { QSUITE_LOG__LEVEL = \"warning\" }; see docs/reference/settings.md."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.settings) : startswith(name, "QSUITE_") && !can(regex("SECRET|PASSWORD|_URI|_URL", name))])
    error_message = "Names begin with QSUITE_, and what is secret does not stand here."
  }
}
