# Copy to terraform.tfvars, and put in what is yours.
region          = "eu-central-1"
certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
grafana_host    = "grafana.dev.example.com"
emails          = ["ops@example.com"]

images = {
  holdfast   = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/holdfast-dev/holdfast@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  prometheus = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/holdfast-dev/prometheus@sha256:2222222222222222222222222222222222222222222222222222222222222222"
  grafana    = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/holdfast-dev/grafana@sha256:3333333333333333333333333333333333333333333333333333333333333333"
  rabbitmq   = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/holdfast-dev/rabbitmq@sha256:4444444444444444444444444444444444444444444444444444444444444444"
  redis      = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/holdfast-dev/redis@sha256:5555555555555555555555555555555555555555555555555555555555555555"
  postgres   = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/holdfast-dev/postgres@sha256:6666666666666666666666666666666666666666666666666666666666666666"
}
