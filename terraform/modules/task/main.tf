# One container on Fargate: as an ordinary user, on a read-only file system, without capabilities, its secrets read by ARN.

locals {
  family = "${var.name}-${var.service}"

  container = {
    name      = var.service
    image     = var.image
    essential = true
    user      = var.user

    readonlyRootFilesystem = true
    privileged             = false
    stopTimeout            = var.stop_timeout

    environment = [for key in sort(keys(var.environment)) : { name = key, value = var.environment[key] }]
    secrets     = [for key in sort(keys(var.secrets)) : { name = key, valueFrom = var.secrets[key] }]

    portMappings = [for name in sort(keys(var.ports)) : {
      name          = name
      containerPort = var.ports[name]
      hostPort      = var.ports[name]
      protocol      = "tcp"
    }]

    mountPoints = var.files == null ? [] : [{
      sourceVolume  = "files"
      containerPath = var.files.path
      readOnly      = false
    }]
    volumesFrom    = []
    systemControls = []
    ulimits        = [{ name = "nofile", softLimit = var.open_files, hardLimit = var.open_files }]

    linuxParameters = {
      initProcessEnabled = true # reaps what isolated children leave behind, and passes SIGTERM on
      capabilities       = { add = [], drop = ["ALL"] }
      tmpfs = [for path in sort(keys(var.writable)) : {
        containerPath = path
        size          = var.writable[path]
        mountOptions  = ["mode=1777", "nosuid", "nodev"]
      }]
    }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = var.region
        awslogs-stream-prefix = var.service
        mode                  = "non-blocking" # CloudWatch being slow must not make the process wait
        max-buffer-size       = "25m"
      }
    }
  }

  optional = merge(
    length(var.command) == 0 ? {} : { command = var.command },
    var.health_check == null ? {} : {
      healthCheck = {
        command     = var.health_check.command
        interval    = var.health_check.interval
        timeout     = var.health_check.timeout
        retries     = var.health_check.retries
        startPeriod = var.health_check.start_period
      }
    },
  )
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/${var.service}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecs_task_definition" "this" {
  family                   = local.family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  container_definitions    = jsonencode([merge(local.container, local.optional)])

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  dynamic "volume" {
    for_each = var.files[*]

    content {
      name = "files"

      efs_volume_configuration {
        file_system_id     = volume.value.file_system_id
        transit_encryption = "ENABLED"

        authorization_config {
          access_point_id = volume.value.access_point_id
          iam             = "ENABLED"
        }
      }
    }
  }
}
