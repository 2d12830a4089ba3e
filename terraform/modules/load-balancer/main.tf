# The one way in: TLS 1.2 or 1.3, everything else is sent there. Who the caller is, and what he may do, is the api's business.

resource "aws_vpc_security_group_ingress_rule" "https" {
  for_each = var.admit

  security_group_id = var.security_group_id
  cidr_ipv4         = each.value
  description       = "HTTPS from ${each.value}"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "http" {
  for_each = var.admit

  security_group_id = var.security_group_id
  cidr_ipv4         = each.value
  description       = "HTTP from ${each.value}, to be sent to HTTPS"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

resource "aws_lb" "this" {
  # checkov:skip=CKV2_AWS_76:with var.waf it has AWSManagedRulesKnownBadInputsRuleSet; without, no firewall is wanted
  name               = var.name
  load_balancer_type = "application"
  internal           = false
  subnets            = var.subnet_ids
  security_groups    = [var.security_group_id]

  # Longer than a request may take; the console's WebSocket speaks every two seconds.
  idle_timeout               = 75
  drop_invalid_header_fields = true
  desync_mitigation_mode     = "strictest"
  enable_deletion_protection = var.deletion_protection

  access_logs {
    bucket  = aws_s3_bucket.logs.id
    enabled = true
  }

  depends_on = [aws_s3_bucket_policy.logs]
}

resource "aws_lb_target_group" "api" {
  name                          = "${var.name}-api"
  vpc_id                        = var.vpc_id
  target_type                   = "ip"
  protocol                      = "HTTP"
  port                          = var.api.port
  deregistration_delay          = 30 # an answer takes milliseconds; jobs do not run in the api
  load_balancing_algorithm_type = "least_outstanding_requests"

  health_check {
    path                = var.api.health_path
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.api.arn
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

# Prometheus scrapes tasks directly; outside nobody needs the numbers.
resource "aws_lb_listener_rule" "metrics" {
  listener_arn = aws_lb_listener.https.arn
  priority     = 10

  action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      message_body = "not found"
      status_code  = "404"
    }
  }

  condition {
    path_pattern {
      values = ["/metrics"]
    }
  }
}

resource "aws_lb_target_group" "grafana" {
  # checkov:skip=CKV_AWS_378:TLS ends at the load balancer; the tasks behind it are in private subnets, each in a security group of its own
  count = var.grafana == null ? 0 : 1

  name                 = "${var.name}-grafana"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = var.grafana.port
  deregistration_delay = 5

  health_check {
    path                = var.grafana.health_path
    matcher             = "200"
    interval            = 15
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 4
  }
}

resource "aws_lb_listener_rule" "grafana" {
  count = var.grafana == null ? 0 : 1

  listener_arn = aws_lb_listener.https.arn
  priority     = 20

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.grafana[0].arn
  }

  condition {
    host_header {
      values = [var.grafana.host]
    }
  }
}
