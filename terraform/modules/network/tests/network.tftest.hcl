mock_provider "aws" {
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mock" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
  mock_resource "aws_vpc" {
    defaults = { cidr_block = "10.20.0.0/16" }
  }
}

variables {
  name               = "holdfast-test"
  region             = "eu-central-1"
  zones              = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  services           = ["api", "postgres"]
  flows              = { "api to postgres" = { from = "api", to = "postgres", ports = [5432] } }
  out                = { "api to the internet" = { from = "api", from_port = 443, to_port = 443 } }
  log_retention_days = 14
  kms_key_arn        = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
}

run "subnets_of_three_kinds_in_every_zone_do_not_overlap" {
  assert {
    condition     = length(distinct([for subnet in concat(values(aws_subnet.public), values(aws_subnet.private), values(aws_subnet.data)) : subnet.cidr_block])) == 9
    error_message = "Each subnet must have addresses of its own."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : !subnet.map_public_ip_on_launch])
    error_message = "Nothing must get a public address by itself."
  }
}

run "every_zone_has_its_own_way_out" {
  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "A zone that fails must take no other's way out along."
  }
}

run "or_all_zones_share_one" {
  variables {
    nat = "one"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.private) == 3
    error_message = "All zones must go out through the one gateway."
  }
}

run "nobody_is_called_but_by_whom_a_flow_names" {
  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.flow) == ["api to postgres:5432"]
    error_message = "A flow must be a rule, and nothing else."
  }

  assert {
    condition     = keys(aws_vpc_security_group_egress_rule.internet) == ["api to the internet"]
    error_message = "Who is not in out must have no way to the internet."
  }
}

run "refuses_one_zone" {
  command = plan

  variables {
    zones = ["eu-central-1a"]
  }

  expect_failures = [var.zones]
}

run "refuses_addresses_that_are_too_few" {
  command = plan

  variables {
    cidr = "10.20.0.0/24"
  }

  expect_failures = [var.cidr]
}

run "refuses_a_flow_to_nobody" {
  command = plan

  variables {
    flows = { "api to kafka" = { from = "api", to = "kafka", ports = [9092] } }
  }

  expect_failures = [var.flows]
}
