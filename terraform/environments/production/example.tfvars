# Copy to terraform.tfvars, and put in what is yours.
region          = "eu-central-1"
certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
grafana_host    = "grafana.example.com"
emails          = ["ops@example.com"]

images = {
  holdfast   = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/holdfast-production/holdfast@sha256:1111111111111111111111111111111111111111111111111111111111111111"
  prometheus = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/holdfast-production/prometheus@sha256:2222222222222222222222222222222222222222222222222222222222222222"
  grafana    = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/holdfast-production/grafana@sha256:3333333333333333333333333333333333333333333333333333333333333333"
}
