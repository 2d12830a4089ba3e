# A file system for services that keep their data on a disk: one access point each, as the user of its container, so that no
# service sees another's files. NFS: right for development, and for what may be lost (README, "Limits").

locals {
  with_files = length(var.file_systems) > 0 ? { this = true } : {}
}

resource "aws_efs_file_system" "this" {
  for_each = local.with_files

  creation_token  = var.name
  encrypted       = true
  kms_key_id      = var.kms_key_arn
  throughput_mode = "elastic"

  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }

  tags = { Name = var.name }
}

resource "aws_efs_backup_policy" "this" {
  for_each = local.with_files

  file_system_id = aws_efs_file_system.this[each.key].id

  backup_policy {
    status = "ENABLED"
  }
}

resource "aws_security_group" "files" {
  # checkov:skip=CKV2_AWS_5:attached to the mount targets below, which checkov cannot follow
  for_each = local.with_files

  name_prefix = "${var.name}-files-"
  description = "NFS, from the services that keep files"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "nfs" {
  for_each = length(var.file_systems) > 0 ? var.client_security_group_ids : {}

  security_group_id            = aws_security_group.files["this"].id
  referenced_security_group_id = each.value
  description                  = "NFS from ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = 2049
  to_port                      = 2049
}

resource "aws_efs_mount_target" "this" {
  for_each = length(var.file_systems) > 0 ? var.subnet_ids : {}

  file_system_id  = aws_efs_file_system.this["this"].id
  subnet_id       = each.value
  security_groups = [aws_security_group.files["this"].id]
}

resource "aws_efs_access_point" "this" {
  for_each = var.file_systems

  file_system_id = aws_efs_file_system.this["this"].id

  posix_user {
    uid = each.value.uid
    gid = each.value.gid
  }

  root_directory {
    path = "/${each.key}"

    creation_info {
      owner_uid   = each.value.uid
      owner_gid   = each.value.gid
      permissions = "0700"
    }
  }

  tags = { Name = "${var.name}-${each.key}" }
}

# Without a policy anybody in the VPC may mount the root as root.
resource "aws_efs_file_system_policy" "this" {
  for_each = local.with_files

  file_system_id = aws_efs_file_system.this[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Principal = { AWS = "*" }
        Action    = "elasticfilesystem:*"
        Resource  = aws_efs_file_system.this[each.key].arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "ThroughAccessPoints"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${split(":", aws_efs_file_system.this[each.key].arn)[4]}:root" }
        Action    = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
        Resource  = aws_efs_file_system.this[each.key].arn
        Condition = { Null = { "elasticfilesystem:AccessPointArn" = "false" } }
      },
    ]
  })
}
