mock_provider "aws" {}

variables {
  name                      = "holdfast-test"
  vpc_id                    = "vpc-1"
  subnet_ids                = { a = "subnet-a", b = "subnet-b" }
  client_security_group_ids = { api = "sg-api" }
  kms_key_arn               = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  initial_password          = "a-first-password-0123"
}

run "a_replica_takes_over" {
  command = plan

  assert {
    condition     = aws_elasticache_replication_group.this.num_cache_clusters == 2 && aws_elasticache_replication_group.this.automatic_failover_enabled && aws_elasticache_replication_group.this.multi_az_enabled
    error_message = "The default must have a replica in another zone that takes over."
  }

  assert {
    condition     = toset(output.member_ids) == toset(["holdfast-test-001", "holdfast-test-002"])
    error_message = "member_ids must be what CloudWatch calls the nodes."
  }

  assert {
    condition     = one([for parameter in aws_elasticache_parameter_group.this.parameter : parameter.value if parameter.name == "maxmemory-policy"]) == "noeviction"
    error_message = "Nothing may be evicted."
  }
}

run "one_node_has_no_failover" {
  command = plan

  variables {
    replicas = 0
  }

  assert {
    condition     = !aws_elasticache_replication_group.this.automatic_failover_enabled && length(output.member_ids) == 1
    error_message = "ElastiCache refuses failover without a replica."
  }
}

run "refuses_one_zone" {
  command = plan

  variables {
    subnet_ids = { a = "subnet-a" }
  }

  expect_failures = [var.subnet_ids]
}

run "refuses_a_name_that_elasticache_would" {
  command = plan

  variables {
    name = "holdfast--test"
  }

  expect_failures = [var.name]
}

run "refuses_another_redis" {
  command = plan

  variables {
    engine_version = "6.2"
  }

  expect_failures = [var.engine_version]
}

run "refuses_a_node_type_of_another_service" {
  command = plan

  variables {
    node_type = "db.t4g.small"
  }

  expect_failures = [var.node_type]
}

run "refuses_too_many_replicas" {
  command = plan

  variables {
    replicas = 6
  }

  expect_failures = [var.replicas]
}

run "refuses_a_short_password" {
  command = plan

  variables {
    initial_password = "short"
  }

  expect_failures = [var.initial_password]
}

run "refuses_snapshots_for_longer_than_there_are" {
  command = plan

  variables {
    snapshot_days = 36
  }

  expect_failures = [var.snapshot_days]
}
