# What processes may do in AWS: keep artifacts, and, for a worker, ask not to be let go while it is busy. Metrics go through the
# log and need no permission.

locals {
  keep_artifacts = {
    artifacts = {
      actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
      resources = ["${module.storage.bucket_arn}/artifacts/*"]
      condition = {}
    }
    artifacts-list = {
      actions   = ["s3:ListBucket"]
      resources = [module.storage.bucket_arn]
      condition = { StringLike = { "s3:prefix" = "artifacts/*" } }
    }
    artifacts-key = {
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [var.kms_key_arn]
      condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
    }
  }

  hold_on = {
    protection = {
      actions   = ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"]
      resources = ["arn:aws:ecs:${local.region}:${local.account}:task/${module.cluster.name}/*"]
      condition = {}
    }
  }

  permissions = {
    api            = local.keep_artifacts
    worker-render  = merge(local.keep_artifacts, local.hold_on)
    worker-webhook = merge(local.keep_artifacts, local.hold_on)
  }
}
