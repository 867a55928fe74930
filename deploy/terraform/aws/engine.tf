# Two engines, one task each: whichever has the lease decides, the other stands by. Never scaled: a third would be one more
# that waits. Each has a name, a zone and a folder of its own, and they are never rolled out at once.
locals {
  engines = { a = 0, b = 1 }

  environment = merge({
    QSUITE_PROFILE = "production"
    QSUITE_PORT    = "8000"
  }, var.settings)

  container = {
    image                  = var.image
    essential              = true
    readonlyRootFilesystem = true
    user                   = "10001:10001"
    # Eight seconds for requests in flight after SIGTERM, and time to close what is open.
    stopTimeout     = 20
    portMappings    = [{ containerPort = 8000, protocol = "tcp", name = "http" }]
    linuxParameters = { initProcessEnabled = false, capabilities = { drop = ["ALL"], add = [] } }
    systemControls  = []
    volumesFrom     = []
    secrets = [
      { name = "QSUITE_SECRET_KEY", valueFrom = aws_secretsmanager_secret.this["secret_key"].arn },
      { name = "QSUITE_MONGODB_URI", valueFrom = aws_secretsmanager_secret.this["mongodb_uri"].arn },
      { name = "QSUITE_REDIS_URL", valueFrom = aws_secretsmanager_secret.this["redis_url"].arn },
    ]
    # One that stands by is not ready for orders, and well: whether it lives is all that is asked.
    healthCheck = {
      command     = ["CMD", "python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
      interval    = 10
      timeout     = 3
      retries     = 3
      startPeriod = 60
    }
  }
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

# Signed heads of the audit chains and the log of security events.
resource "aws_efs_file_system" "this" {
  encrypted       = true
  kms_key_id      = aws_kms_key.this.arn
  throughput_mode = "elastic"
  tags            = { Name = var.name }
}

resource "aws_efs_backup_policy" "this" {
  file_system_id = aws_efs_file_system.this.id

  backup_policy {
    status = "ENABLED"
  }
}

resource "aws_efs_mount_target" "this" {
  count           = var.zones
  file_system_id  = aws_efs_file_system.this.id
  subnet_id       = aws_subnet.private[count.index].id
  security_groups = [aws_security_group.files.id]
}

resource "aws_efs_access_point" "engine" {
  for_each       = local.engines
  file_system_id = aws_efs_file_system.this.id

  posix_user {
    uid = 10001
    gid = 10001
  }

  root_directory {
    path = "/engine-${each.key}"

    creation_info {
      owner_uid   = 10001
      owner_gid   = 10001
      permissions = "0700"
    }
  }
}

resource "aws_service_discovery_service" "engine" {
  for_each = local.engines
  name     = "engine-${each.key}"

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 5
    }
  }
}

resource "aws_ecs_task_definition" "engine" {
  for_each                 = local.engines
  family                   = "${var.name}-engine-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.engine_size.cpu
  memory                   = var.engine_size.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.engine[each.key].arn

  container_definitions = jsonencode([merge(local.container, {
    name    = "engine"
    command = ["serve"]
    environment = [for name, value in merge(local.environment, {
      QSUITE_HTTP__ADVERTISE = "http://engine-${each.key}.${var.name}.internal:8000"
      # Gateways send orders on over HTTP, which the security groups let nobody else. It is not meant for the databases:
      # gateways, which have the same addresses, refuse them without TLS.
      QSUITE_PLAIN_NETWORK = "true"
    }) : { name = name, value = value }]
    mountPoints = [
      { sourceVolume = "data", containerPath = "/data", readOnly = false },
      { sourceVolume = "tmp", containerPath = "/tmp", readOnly = false },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this["engine"].name
        awslogs-region        = var.region
        awslogs-stream-prefix = each.key
      }
    }
  })])

  volume {
    name = "data"

    efs_volume_configuration {
      file_system_id     = aws_efs_file_system.this.id
      transit_encryption = "ENABLED"

      authorization_config {
        access_point_id = aws_efs_access_point.engine[each.key].id
        iam             = "ENABLED"
      }
    }
  }

  volume {
    name = "tmp"
  }
}

resource "aws_ecs_service" "engine_a" {
  name                               = "engine-a"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.engine["a"].arn
  desired_count                      = 1
  launch_type                        = "FARGATE"
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  # The other one is rolled out when this one is well again.
  wait_for_steady_state = true

  network_configuration {
    subnets         = [aws_subnet.private[local.engines.a].id]
    security_groups = [aws_security_group.engine.id]
  }

  service_registries {
    registry_arn = aws_service_discovery_service.engine["a"].arn
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  depends_on = [aws_efs_mount_target.this, aws_iam_role_policy.execution, aws_vpc_endpoint.aws]
}

resource "aws_ecs_service" "engine_b" {
  name                               = "engine-b"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.engine["b"].arn
  desired_count                      = 1
  launch_type                        = "FARGATE"
  deployment_minimum_healthy_percent = 0
  deployment_maximum_percent         = 100
  wait_for_steady_state              = true

  network_configuration {
    subnets         = [aws_subnet.private[local.engines.b].id]
    security_groups = [aws_security_group.engine.id]
  }

  service_registries {
    registry_arn = aws_service_discovery_service.engine["b"].arn
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  depends_on = [aws_ecs_service.engine_a]
}
