# The key of an environment and its secrets. No value is in the state or in a plan: random ones are ephemeral, and all are written
# through write-only arguments. It stands at the root of an environment, beside the stack: mock providers know no ephemeral
# resources, so a stack that held it could not be tested without AWS.

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.name
  names   = setunion(keys(var.generated), keys(var.composed), var.external)
}

resource "aws_kms_key" "this" {
  description             = "Everything at rest in ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

resource "aws_secretsmanager_secret" "this" {
  # checkov:skip=CKV2_AWS_57:tasks read secrets when they start, so a rotation by itself would shut them out: docs/adr/0014
  for_each = local.names

  name                    = "${var.name}/${each.key}"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = var.recovery_days
}

ephemeral "aws_secretsmanager_random_password" "this" {
  for_each = var.generated

  password_length     = each.value.length
  exclude_punctuation = true # they go into URLs, and into what ElastiCache, Amazon MQ and RDS allow
}

resource "aws_secretsmanager_secret_version" "generated" {
  for_each = var.generated

  secret_id                = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo         = lookup(var.carried_over, each.key, ephemeral.aws_secretsmanager_random_password.this[each.key].random_password)
  secret_string_wo_version = each.value.version
}

# What is stored, and not what was drawn: each run draws anew, but writes only where a version was raised.
ephemeral "aws_secretsmanager_secret_version" "generated" {
  for_each = var.generated

  secret_id  = aws_secretsmanager_secret_version.generated[each.key].secret_id
  version_id = aws_secretsmanager_secret_version.generated[each.key].version_id
}

# For what the provider cannot write ephemerally (Amazon MQ's user, ElastiCache's token): good until it is changed to the
# generated one after the first apply. This value is in the state, and worth nothing from then on.
data "aws_secretsmanager_random_password" "initial" {
  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret_version" "composed" {
  for_each = var.composed

  secret_id                = aws_secretsmanager_secret.this[each.key].id
  secret_string_wo         = var.composed_values[each.key]
  secret_string_wo_version = each.value
}
