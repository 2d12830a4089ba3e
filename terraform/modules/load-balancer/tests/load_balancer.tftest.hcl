mock_provider "aws" {
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::holdfast-test-logs" }
  }
  mock_resource "aws_lb" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/holdfast-test/1" }
  }
  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/holdfast-test-api/2" }
  }
  mock_resource "aws_lb_listener" {
    defaults = { arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:listener/app/holdfast-test/1/3" }
  }
  mock_resource "aws_wafv2_web_acl" {
    defaults = { arn = "arn:aws:wafv2:eu-central-1:123456789012:regional/webacl/holdfast-test/4" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:aws-waf-logs-mock" }
  }
}

variables {
  name               = "holdfast-test"
  vpc_id             = "vpc-mock"
  subnet_ids         = ["subnet-a", "subnet-b"]
  security_group_id  = "sg-mock"
  certificate_arn    = "arn:aws:acm:eu-central-1:123456789012:certificate/00000000-0000-0000-0000-000000000000"
  api                = { port = 8000, health_path = "/healthz" }
  log_bucket         = "holdfast-test-logs"
  log_retention_days = 14
  log_account_id     = "123456789012"
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}

run "everything_is_sent_to_https" {
  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "redirect" && startswith(aws_lb_listener.https.ssl_policy, "ELBSecurityPolicy-TLS13")
    error_message = "HTTP must lead to HTTPS, with TLS 1.2 or newer."
  }

  assert {
    condition     = aws_lb.this.enable_deletion_protection && !aws_s3_bucket.logs.force_destroy
    error_message = "Protection must be on unless somebody takes it off."
  }
}

run "grafana_and_the_firewall_are_there_when_asked_for" {
  variables {
    grafana = { host = "grafana.example.com", port = 3000, health_path = "/api/health" }
    waf     = { requests_per_address = 1000 }
  }

  assert {
    condition     = output.grafana_target_group_arn != null && length(aws_wafv2_web_acl_association.this) == 1
    error_message = "Grafana must have a target group, and the load balancer its firewall."
  }
}

run "and_not_otherwise" {
  assert {
    condition     = output.grafana_target_group_arn == null && length(aws_wafv2_web_acl.this) == 0
    error_message = "Neither must be there."
  }
}

run "refuses_to_serve_without_a_certificate" {
  command = plan

  variables {
    certificate_arn = ""
  }

  expect_failures = [var.certificate_arn]
}

run "refuses_a_network_that_is_none" {
  command = plan

  variables {
    admit = ["everybody"]
  }

  expect_failures = [var.admit]
}
