"""Every rule of `policy.py` holds for what is planned, and is shown to fail where it is broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from lifecycle import Lifecycle
from planned import Planned
from policy import IN_PRODUCTION, RULES

ALL = RULES | IN_PRODUCTION


@pytest.mark.parametrize("name", RULES)
def test_a_rule_holds(name: str, planned: Planned) -> None:
    assert list(RULES[name](planned)) == []


@pytest.mark.parametrize("name", IN_PRODUCTION)
def test_a_rule_holds_in_production(name: str, production: Planned) -> None:
    assert list(IN_PRODUCTION[name](production)) == []


Break = Callable[[dict[str, Any]], None]


def _with(**changes: Any) -> Break:
    return lambda values: values.update(changes)


def _in_container(**changes: Any) -> Break:
    def break_it(values: dict[str, Any]) -> None:
        definitions = json.loads(values["container_definitions"])
        definitions[0].update(changes)
        values["container_definitions"] = json.dumps(definitions)

    return break_it


def _inside(block: str, **changes: Any) -> Break:
    return lambda values: values[block][0].update(changes)


WIDE = json.dumps({"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
BREAKS: list[tuple[str, str, Break]] = [
    (
        "no_secret_is_in_plain_text",
        "aws_ecs_task_definition",
        _in_container(environment=[{"name": "API_TOKEN", "value": "x"}]),
    ),
    (
        "no_secret_is_in_plain_text",
        "aws_ecs_task_definition",
        _in_container(environment=[{"name": "A", "value": "amqp://a:b@c"}]),
    ),
    ("no_secret_is_in_plain_text", "aws_ecs_task_definition", _in_container(secrets=[{"name": "A", "valueFrom": "b"}])),
    ("no_secret_is_in_plain_text", "aws_secretsmanager_secret_version", _with(secret_string="hunter2")),
    ("no_policy_allows_everything", "aws_iam_role_policy", _with(policy=WIDE)),
    (
        "no_policy_allows_everything",
        "aws_iam_role_policy_attachment",
        _with(policy_arn="arn:aws:iam::aws:policy/AdministratorAccess"),
    ),
    (
        "tasks_and_data_are_in_private_subnets",
        "aws_ecs_service",
        _inside("network_configuration", assign_public_ip=True),
    ),
    ("tasks_and_data_are_in_private_subnets", "aws_db_instance", _with(publicly_accessible=True)),
    ("tasks_and_data_are_in_private_subnets", "aws_mq_broker", _with(publicly_accessible=True)),
    ("tasks_and_data_are_in_private_subnets", "aws_subnet", _with(map_public_ip_on_launch=True)),
    (
        "only_the_load_balancer_is_open_to_the_world",
        "aws_vpc_security_group_ingress_rule",
        _with(cidr_ipv4="0.0.0.0/0", from_port=5432),
    ),
    (
        "only_the_load_balancer_is_open_to_the_world",
        "aws_security_group",
        _with(ingress=[{"cidr_blocks": ["0.0.0.0/0"]}]),
    ),
    ("everything_is_encrypted_at_rest", "aws_db_instance", _with(storage_encrypted=False)),
    ("everything_is_encrypted_at_rest", "aws_elasticache_replication_group", _with(at_rest_encryption_enabled="false")),
    ("everything_is_encrypted_at_rest", "aws_mq_broker", _inside("encryption_options", use_aws_owned_key=True)),
    ("everything_is_encrypted_at_rest", "aws_efs_file_system", _with(encrypted=False)),
    ("everything_is_encrypted_at_rest", "aws_cloudwatch_log_group", _with(kms_key_id=None)),
    ("everything_is_encrypted_at_rest", "aws_sns_topic", _with(kms_master_key_id=None)),
    ("everything_is_encrypted_at_rest", "aws_secretsmanager_secret", _with(kms_key_id=None)),
    (
        "everything_is_encrypted_at_rest",
        "aws_ecr_repository",
        _inside("encryption_configuration", encryption_type="AES256"),
    ),
    ("everything_is_encrypted_at_rest", "aws_s3_bucket_server_side_encryption_configuration", _with(bucket="another")),
    ("everything_is_encrypted_at_rest", "aws_kms_key", _with(enable_key_rotation=False)),
    (
        "everything_is_encrypted_in_transit",
        "aws_lb_listener",
        _with(protocol="HTTP", default_action=[{"type": "forward"}]),
    ),
    (
        "everything_is_encrypted_in_transit",
        "aws_lb_listener",
        _with(protocol="HTTPS", ssl_policy="ELBSecurityPolicy-2016-08"),
    ),
    (
        "everything_is_encrypted_in_transit",
        "aws_elasticache_replication_group",
        _with(transit_encryption_enabled=False),
    ),
    ("everything_is_encrypted_in_transit", "aws_db_parameter_group", _with(parameter=[])),
    ("everything_is_encrypted_in_transit", "aws_s3_bucket_policy", _with(bucket="another")),
    ("everything_is_encrypted_in_transit", "aws_efs_file_system_policy", _with(policy="{}")),
    ("buckets_are_closed", "aws_s3_bucket_public_access_block", _with(block_public_policy=False)),
    ("buckets_are_closed", "aws_s3_bucket_public_access_block", _with(bucket="another")),
    ("logs_are_kept_and_end", "aws_cloudwatch_log_group", _with(retention_in_days=0)),
    ("everything_that_stays_up_is_probed", "aws_ecs_task_definition", _in_container(healthCheck=None)),
    ("everything_that_stays_up_is_probed", "aws_lb_target_group", _inside("health_check", enabled=False)),
    ("deployments_roll_back", "aws_ecs_service", _inside("deployment_circuit_breaker", rollback=False)),
    ("deployments_roll_back", "aws_ecs_task_definition", _in_container(stopTimeout=300)),
    ("containers_are_locked_down", "aws_ecs_task_definition", _in_container(user="0")),
    ("containers_are_locked_down", "aws_ecs_task_definition", _in_container(user=None)),
    ("containers_are_locked_down", "aws_ecs_task_definition", _in_container(readonlyRootFilesystem=False)),
    ("containers_are_locked_down", "aws_ecs_task_definition", _in_container(privileged=True)),
    ("containers_are_locked_down", "aws_ecs_task_definition", _in_container(linuxParameters={})),
    ("images_do_not_move", "aws_ecs_task_definition", _in_container(image="holdfast:latest")),
    ("images_do_not_move", "aws_ecr_repository", _with(image_tag_mutability="MUTABLE")),
    ("images_do_not_move", "aws_ecr_repository", _inside("image_scanning_configuration", scan_on_push=False)),
    ("everything_is_tagged", "aws_ecs_service", _with(tags_all={"Project": "holdfast"})),
    ("nothing_is_deleted_by_accident", "aws_db_instance", _with(deletion_protection=False)),
    ("nothing_is_deleted_by_accident", "aws_lb", _with(enable_deletion_protection=False)),
    ("nothing_is_deleted_by_accident", "aws_s3_bucket", _with(force_destroy=True)),
    ("nothing_is_deleted_by_accident", "aws_secretsmanager_secret", _with(recovery_window_in_days=0)),
    ("data_is_backed_up_and_survives_a_zone", "aws_db_instance", _with(backup_retention_period=0)),
    ("data_is_backed_up_and_survives_a_zone", "aws_db_instance", _with(multi_az=False)),
    (
        "data_is_backed_up_and_survives_a_zone",
        "aws_elasticache_replication_group",
        _with(automatic_failover_enabled=False),
    ),
    ("data_is_backed_up_and_survives_a_zone", "aws_elasticache_replication_group", _with(snapshot_retention_limit=0)),
    ("data_is_backed_up_and_survives_a_zone", "aws_mq_broker", _with(deployment_mode="SINGLE_INSTANCE")),
    ("data_is_backed_up_and_survives_a_zone", "aws_s3_bucket_versioning", _with(bucket="another")),
]


@pytest.mark.parametrize(
    ("name", "kind", "break_it"), BREAKS, ids=[f"{name}-{kind}-{n}" for n, (name, kind, _) in enumerate(BREAKS)]
)
def test_a_rule_fails_where_it_is_broken(
    name: str, kind: str, break_it: Break, production_plan: dict[str, Any]
) -> None:
    broken = deepcopy(production_plan)
    values = _values_of(broken["planned_values"]["root_module"], kind)
    assert values, f"production has no {kind}"
    for one in values:
        break_it(one)
    assert list(ALL[name](Planned(broken)))


def test_every_rule_is_shown_to_fail() -> None:
    assert {name for name, _, _ in BREAKS} == set(ALL)


@pytest.fixture(scope="module")
def production_plan(lifecycles: dict[str, Lifecycle]) -> dict[str, Any]:
    return dict(lifecycles["production"].result("plan again"))


@pytest.fixture(scope="module")
def production(production_plan: dict[str, Any]) -> Planned:
    return Planned(production_plan)


def _values_of(module: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    here = [resource["values"] for resource in module.get("resources", []) if resource["type"] == kind]
    return here + [values for child in module.get("child_modules", []) for values in _values_of(child, kind)]
