# One security group for each service, and a rule for each flow that somebody wrote down.

locals {
  ingress = merge([for words, flow in var.flows : {
    for port in flow.ports : "${words}:${port}" => { from = flow.from, to = flow.to, port = port, words = words }
  }]...)
}

resource "aws_security_group" "service" {
  # checkov:skip=CKV2_AWS_5:attached by the module service, which checkov cannot follow
  for_each = var.services

  name_prefix = "${var.name}-${each.key}-"
  description = "The tasks of ${each.key}, or what it is called"
  vpc_id      = aws_vpc.this.id

  tags = { Name = "${var.name}-${each.key}" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "flow" {
  for_each = local.ingress

  security_group_id            = aws_security_group.service[each.value.to].id
  referenced_security_group_id = aws_security_group.service[each.value.from].id
  description                  = each.value.words
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

# Who may be called is decided where the call arrives; inside the VPC nothing is held back on its way out.
resource "aws_vpc_security_group_egress_rule" "inside" {
  for_each = var.services

  security_group_id = aws_security_group.service[each.key].id
  cidr_ipv4         = aws_vpc.this.cidr_block
  description       = "Services and endpoints of this VPC"
  ip_protocol       = "tcp"
  from_port         = 0
  to_port           = 65535
}

# Where images, layers and answers of S3 come from: the gateway's addresses are public ones.
resource "aws_vpc_security_group_egress_rule" "s3" {
  for_each = var.services

  security_group_id = aws_security_group.service[each.key].id
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  description       = "S3 through the gateway endpoint"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "internet" {
  for_each = var.out

  security_group_id = aws_security_group.service[each.value.from].id
  cidr_ipv4         = "0.0.0.0/0"
  description       = each.key
  ip_protocol       = "tcp"
  from_port         = each.value.from_port
  to_port           = each.value.to_port
}
