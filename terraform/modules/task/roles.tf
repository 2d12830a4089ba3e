# Two roles. The execution role is used by ECS before the process starts: pull the image, read its secrets, open its log. The
# task role is the process's own, and has what `permissions` says and nothing else.

locals {
  assume = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = {
        ArnLike      = { "aws:SourceArn" = "arn:aws:ecs:${var.region}:${var.account_id}:*" }
        StringEquals = { "aws:SourceAccount" = var.account_id }
      }
    }]
  })

  # Only an image in ECR needs a permission to be pulled; the account and the region are in its name.
  in_ecr     = can(regex("^[0-9]{12}\\.dkr\\.ecr\\.", var.image))
  repository = local.in_ecr ? regex("^[0-9]{12}\\.dkr\\.ecr\\.([a-z0-9-]+)\\.amazonaws\\.com/([^@:]+)", var.image) : ["", ""]
  pull = [for statement in [
    {
      Sid      = "LogInToRegistry"
      Effect   = "Allow"
      Action   = ["ecr:GetAuthorizationToken"] # knows no resources
      Resource = ["*"]
    },
    {
      Sid      = "PullImage"
      Effect   = "Allow"
      Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Resource = ["arn:aws:ecr:${local.repository[0]}:${split(".", var.image)[0]}:repository/${local.repository[1]}"]
    },
  ] : statement if local.in_ecr]

  read_secrets = [for statement in [
    {
      Sid      = "ReadSecrets"
      Effect   = "Allow"
      Action   = ["secretsmanager:GetSecretValue"]
      Resource = distinct(values(var.secrets))
    },
    {
      Sid      = "OpenSecrets"
      Effect   = "Allow"
      Action   = ["kms:Decrypt"]
      Resource = [var.kms_key_arn]
      Condition = {
        StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" }
      }
    },
  ] : statement if length(var.secrets) > 0]

  mount = var.files == null ? {} : {
    files = {
      actions   = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
      resources = [var.files.file_system_arn]
      condition = { StringEquals = { "elasticfilesystem:AccessPointArn" = var.files.access_point_arn } }
    }
  }

  exec = var.shell == null ? {} : {
    shell = {
      # The channel's actions know no resources.
      actions = [
        "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
      ]
      resources = ["*"]
      condition = {}
    }
    shell-record = {
      actions   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
      resources = ["${var.shell.log_group_arn}:*"]
      condition = {}
    }
    shell-key = {
      actions   = ["kms:Decrypt"]
      resources = [var.kms_key_arn]
      condition = {}
    }
  }

  permissions = merge(var.permissions, local.mount, local.exec)
}

resource "aws_iam_role" "execution" {
  name_prefix        = "${substr(local.family, 0, 28)}-exec-"
  description        = "ECS starting ${local.family}"
  assume_role_policy = local.assume
}

resource "aws_iam_role_policy" "execution" {
  name = "start"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      Sid      = "WriteLog"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
    }], local.pull, local.read_secrets)
  })
}

resource "aws_iam_role" "task" {
  name_prefix        = "${substr(local.family, 0, 28)}-task-"
  description        = "The processes of ${local.family}"
  assume_role_policy = local.assume
}

resource "aws_iam_role_policy" "task" {
  for_each = local.permissions

  name = each.key
  role = aws_iam_role.task.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      { Effect = "Allow", Action = each.value.actions, Resource = each.value.resources },
      length(each.value.condition) == 0 ? {} : { Condition = each.value.condition },
    )]
  })
}
