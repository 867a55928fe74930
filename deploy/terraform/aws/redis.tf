# Redis: streams from the engine to gateways, and rate limits. Never the truth, so no snapshots; while it is away gateways
# read the database. It takes nobody without TLS and the password.
data "aws_secretsmanager_random_password" "redis" {
  password_length     = 64
  exclude_punctuation = true
}

# Drawn anew at each plan; the first one is kept. ElastiCache wants it as an argument, so the state holds it.
resource "terraform_data" "redis_token" {
  input = data.aws_secretsmanager_random_password.redis.random_password

  lifecycle {
    ignore_changes = [input]
  }
}

locals {
  redis_token = sensitive(terraform_data.redis_token.output)
}

resource "aws_elasticache_subnet_group" "this" {
  name       = var.name
  subnet_ids = aws_subnet.private[*].id
}

resource "aws_elasticache_parameter_group" "this" {
  name   = var.name
  family = "redis7"

  parameter {
    name  = "maxmemory-policy"
    value = "volatile-ttl"
  }
}

resource "aws_elasticache_replication_group" "this" {
  replication_group_id       = var.name
  description                = "Streams and rate limits of ${var.name}"
  engine                     = "redis"
  engine_version             = "7.1"
  node_type                  = var.redis_node_type
  num_cache_clusters         = 2
  automatic_failover_enabled = true
  multi_az_enabled           = true
  parameter_group_name       = aws_elasticache_parameter_group.this.name
  subnet_group_name          = aws_elasticache_subnet_group.this.name
  security_group_ids         = [aws_security_group.redis.id]
  at_rest_encryption_enabled = true
  kms_key_id                 = aws_kms_key.this.arn
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  auth_token                 = local.redis_token
  auth_token_update_strategy = "ROTATE"
  snapshot_retention_limit   = 0
}
