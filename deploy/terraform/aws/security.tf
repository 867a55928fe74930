# Who may speak to whom, each by reference to the other's group:
#
#     clients ─443─> load_balancer ─8000─> gateway ─8000─> engine ─2049─> files
#                                             └──┬── engine and gateway ──> redis, mongodb, endpoints of AWS
locals {
  groups = {
    load_balancer = "Where clients arrive"
    gateway       = "Gateways"
    engine        = "The engine, and the one that stands by"
    redis         = "Redis"
    files         = "What must outlive an engine's task"
    endpoints     = "Endpoints of AWS services"
    mongodb       = "The private endpoint of MongoDB"
  }

  # From, to, ports. Each is allowed out of the one and into the other, and nothing else is.
  ways = {
    load_balancer_gateway = { from = "load_balancer", to = "gateway", first = 8000, last = 8000 }
    gateway_engine        = { from = "gateway", to = "engine", first = 8000, last = 8000 }
    gateway_redis         = { from = "gateway", to = "redis", first = 6379, last = 6379 }
    engine_redis          = { from = "engine", to = "redis", first = 6379, last = 6379 }
    gateway_endpoints     = { from = "gateway", to = "endpoints", first = 443, last = 443 }
    engine_endpoints      = { from = "engine", to = "endpoints", first = 443, last = 443 }
    engine_files          = { from = "engine", to = "files", first = 2049, last = 2049 }
    # Behind a private endpoint Atlas listens on ports of its choice, from 1024 on.
    gateway_mongodb = { from = "gateway", to = "mongodb", first = 1024, last = 65535 }
    engine_mongodb  = { from = "engine", to = "mongodb", first = 1024, last = 65535 }
  }

  security_groups = {
    load_balancer = aws_security_group.load_balancer.id
    gateway       = aws_security_group.gateway.id
    engine        = aws_security_group.engine.id
    redis         = aws_security_group.redis.id
    files         = aws_security_group.files.id
    endpoints     = aws_security_group.endpoints.id
    mongodb       = aws_security_group.mongodb.id
  }

  outside_mongodb = {
    for pair in setproduct(["gateway", "engine"], var.mongodb_networks) : "${pair[0]} ${pair[1]}" => { from = pair[0], network = pair[1] }
  }
}

resource "aws_security_group" "load_balancer" {
  name        = "${var.name}-load-balancer"
  description = local.groups.load_balancer
  vpc_id      = aws_vpc.this.id
}

resource "aws_security_group" "gateway" {
  name        = "${var.name}-gateway"
  description = local.groups.gateway
  vpc_id      = aws_vpc.this.id
}

resource "aws_security_group" "engine" {
  name        = "${var.name}-engine"
  description = local.groups.engine
  vpc_id      = aws_vpc.this.id
}

resource "aws_security_group" "redis" {
  name        = "${var.name}-redis"
  description = local.groups.redis
  vpc_id      = aws_vpc.this.id
}

resource "aws_security_group" "files" {
  name        = "${var.name}-files"
  description = local.groups.files
  vpc_id      = aws_vpc.this.id
}

resource "aws_security_group" "endpoints" {
  name        = "${var.name}-endpoints"
  description = local.groups.endpoints
  vpc_id      = aws_vpc.this.id
}

resource "aws_security_group" "mongodb" {
  name        = "${var.name}-mongodb"
  description = local.groups.mongodb
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_egress_rule" "way" {
  for_each                     = local.ways
  security_group_id            = local.security_groups[each.value.from]
  referenced_security_group_id = local.security_groups[each.value.to]
  ip_protocol                  = "tcp"
  from_port                    = each.value.first
  to_port                      = each.value.last
}

resource "aws_vpc_security_group_ingress_rule" "way" {
  for_each                     = local.ways
  security_group_id            = local.security_groups[each.value.to]
  referenced_security_group_id = local.security_groups[each.value.from]
  ip_protocol                  = "tcp"
  from_port                    = each.value.first
  to_port                      = each.value.last
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each          = var.clients
  security_group_id = aws_security_group.load_balancer.id
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "images" {
  for_each          = toset(["gateway", "engine"])
  security_group_id = local.security_groups[each.value]
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "outside_mongodb" {
  for_each          = local.outside_mongodb
  security_group_id = local.security_groups[each.value.from]
  cidr_ipv4         = each.value.network
  ip_protocol       = "tcp"
  from_port         = 27017
  to_port           = 27017
}
