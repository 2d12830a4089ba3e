# The task that moves the schema. Nothing starts it by itself: a release runs it with the new image, waits for its end, and only
# then lets the services roll. Migrations are written so that the version before goes on working beside them.

module "task" {
  source = "../task"

  name               = var.name
  service            = "migration"
  region             = var.region
  account_id         = var.account_id
  image              = var.image
  architecture       = var.architecture
  cpu                = 256
  memory             = 512
  user               = var.user
  command            = ["holdfast", "db", "upgrade"]
  environment        = var.environment
  secrets            = var.secrets
  kms_key_arn        = var.kms_key_arn
  log_retention_days = var.log_retention_days
}
