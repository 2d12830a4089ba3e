"""What an expert looks for in a plan before it is applied, as rules: each tells in sentences what breaks it.

A rule sees the whole plan of one environment. `test_policy.py` applies each to both, and shows of each that it fails.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from planned import Planned, Resource

Rule = Callable[[Planned], Iterator[str]]
RULES: dict[str, Rule] = {}
IN_PRODUCTION: dict[str, Rule] = {}
"""Those that hold for production alone."""

ANYWHERE = {"0.0.0.0/0", "::/0"}
PRIVATE_NAME = re.compile(r"(PASSWORD|PASS|SECRET|TOKEN|_KEYS?|AUTH|WEBHOOK_URL)$")
WITH_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")
TAGS = ("Project", "Environment", "ManagedBy")


def rule(check: Rule) -> Rule:
    """Register a rule of both environments under the name of its function."""
    RULES[check.__name__] = check
    return check


def production_rule(check: Rule) -> Rule:
    """Register a rule of production."""
    IN_PRODUCTION[check.__name__] = check
    return check


def statements(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The statements of a policy, with actions and resources as lists."""
    given = document.get("Statement", [])
    for statement in given if isinstance(given, list) else [given]:
        yield {
            key: [value] if key in {"Action", "Resource"} and isinstance(value, str) else value
            for key, value in statement.items()
        }


@rule
def no_secret_is_in_plain_text(planned: Planned) -> Iterator[str]:
    """Environment variables, and the values of secrets that Terraform would have to know."""
    for container in planned.containers:
        for name, value in container.environment.items():
            if value and (PRIVATE_NAME.search(name) or WITH_PASSWORD.search(value)):
                yield f"{container.service} has {name} in its environment: take it from Secrets Manager"
        for name, source in container.secrets.items():
            if not source.startswith("arn:aws:secretsmanager:"):
                yield f"{container.service} takes {name} from {source}, which is no secret"
    for version in planned.of("aws_secretsmanager_secret_version"):
        if version.values.get("secret_string") or version.values.get("secret_binary"):
            yield f"{version.address} has its value in the plan: use secret_string_wo"


@rule
def no_policy_allows_everything(planned: Planned) -> Iterator[str]:
    """No action `*` or `service:*` on the resource `*`, and no managed policy for administrators."""
    for policy in planned.of("aws_iam_policy", "aws_iam_role_policy"):
        for statement in statements(policy.document("policy")):
            wide = [action for action in statement.get("Action", []) if action == "*" or action.endswith(":*")]
            if statement["Effect"] == "Allow" and wide and "*" in statement.get("Resource", []):
                yield f"{policy.address} allows {', '.join(wide)} on everything"
    for attachment in planned.of("aws_iam_role_policy_attachment"):
        if re.search(r"(AdministratorAccess|PowerUserAccess|FullAccess)$", attachment.values["policy_arn"]):
            yield f"{attachment.address} attaches {attachment.values['policy_arn']}"


@rule
def tasks_and_data_are_in_private_subnets(planned: Planned) -> Iterator[str]:
    """No public address, and no subnet whose route leads straight to the internet."""
    public = _public_subnets(planned)
    for service in planned.of("aws_ecs_service"):
        for network in service.values["network_configuration"]:
            if network["assign_public_ip"]:
                yield f"{service.address} gives its tasks public addresses"
            if public & set(network["subnets"]):
                yield f"{service.address} is in a public subnet"
    for data in planned.of("aws_db_instance", "aws_mq_broker"):
        if data.values["publicly_accessible"]:
            yield f"{data.address} is publicly accessible"
    for data in planned.of("aws_db_subnet_group", "aws_elasticache_subnet_group", "aws_mq_broker"):
        if public & set(data.values["subnet_ids"]):
            yield f"{data.address} is in a public subnet"
    for target in planned.of("aws_efs_mount_target"):
        if target.values["subnet_id"] in public:
            yield f"{target.address} is in a public subnet"


@rule
def only_the_load_balancer_is_open_to_the_world(planned: Planned) -> Iterator[str]:
    """And that on 443, and on 80 to lead to 443."""
    balancers = {group for balancer in planned.of("aws_lb") for group in balancer.values["security_groups"]}
    for ingress in planned.of("aws_vpc_security_group_ingress_rule"):
        values = ingress.values
        if ANYWHERE & {values.get("cidr_ipv4"), values.get("cidr_ipv6")} and not (
            values["security_group_id"] in balancers
            and values["from_port"] == values["to_port"]
            and values["to_port"] in (80, 443)
        ):
            yield f"{ingress.address} lets the world in to port {values['from_port']}"
    for group in planned.of("aws_security_group", "aws_default_security_group"):
        blocks = [
            {*(entry.get("cidr_blocks") or []), *(entry.get("ipv6_cidr_blocks") or [])}
            for entry in group.values.get("ingress") or []
        ]
        if group.values["id"] not in balancers and any(ANYWHERE & block for block in blocks):
            yield f"{group.address} lets the world in"


@rule
def everything_is_encrypted_at_rest(planned: Planned) -> Iterator[str]:
    """With the environment's key, not one that AWS keeps."""
    keyed: dict[str, Callable[[Mapping[str, Any]], object]] = {
        "aws_db_instance": lambda it: it["storage_encrypted"] and it["kms_key_id"],
        "aws_elasticache_replication_group": lambda it: (
            str(it["at_rest_encryption_enabled"]).lower() == "true" and it["kms_key_id"]
        ),
        "aws_mq_broker": lambda it: any(
            not option["use_aws_owned_key"] and option["kms_key_id"] for option in it["encryption_options"]
        ),
        "aws_efs_file_system": lambda it: it["encrypted"] and it["kms_key_id"],
        "aws_cloudwatch_log_group": lambda it: it["kms_key_id"],
        "aws_sns_topic": lambda it: it["kms_master_key_id"],
        "aws_secretsmanager_secret": lambda it: it["kms_key_id"],
        "aws_ecr_repository": lambda it: any(
            option["encryption_type"] == "KMS" for option in it["encryption_configuration"]
        ),
    }
    for kind, encrypted in keyed.items():
        for resource in planned.of(kind):
            if not encrypted(resource.values):
                yield f"{resource.address} is not encrypted with a key of ours"
    for bucket in _buckets_without(planned, "aws_s3_bucket_server_side_encryption_configuration"):
        yield f"{bucket.address} has no encryption of its own"
    for key in planned.of("aws_kms_key"):
        if not key.values["enable_key_rotation"]:
            yield f"{key.address} is never rotated"


@rule
def everything_is_encrypted_in_transit(planned: Planned) -> Iterator[str]:
    """From the client to the disk: listeners, cache, database, files, buckets."""
    for listener in planned.of("aws_lb_listener"):
        if listener.values["protocol"] == "HTTPS":
            if "TLS13" not in (listener.values["ssl_policy"] or ""):
                yield f"{listener.address} accepts TLS below 1.2: {listener.values['ssl_policy']}"
        elif [action["type"] for action in listener.values["default_action"]] != ["redirect"]:
            yield f"{listener.address} serves plain HTTP"
    for cache in planned.of("aws_elasticache_replication_group"):
        if not cache.values["transit_encryption_enabled"] or cache.values["transit_encryption_mode"] != "required":
            yield f"{cache.address} takes connections without TLS"
    for database in planned.of("aws_db_parameter_group"):
        if {"rds.force_ssl": "1"}.items() - {
            entry["name"]: entry["value"] for entry in database.values["parameter"]
        }.items():
            yield f"{database.address} takes connections without TLS"
    for task in planned.of("aws_ecs_task_definition"):
        for volume in task.values["volume"]:
            if any(files["transit_encryption"] != "ENABLED" for files in volume["efs_volume_configuration"]):
                yield f"{task.address} mounts {volume['name']} without TLS"
    tls_only = {policy.values["bucket"] for policy in planned.of("aws_s3_bucket_policy") if _denies_plain(policy)}
    for bucket in planned.of("aws_s3_bucket"):
        if bucket.values["id"] not in tls_only:
            yield f"{bucket.address} can be read without TLS"
    for system in planned.of("aws_efs_file_system"):
        policies = [
            one
            for one in planned.of("aws_efs_file_system_policy")
            if one.values["file_system_id"] == system.values["id"]
        ]
        if not any(_denies_plain(policy) for policy in policies):
            yield f"{system.address} can be mounted without TLS"


@rule
def buckets_are_closed(planned: Planned) -> Iterator[str]:
    """To the public, by all four switches."""
    switches = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    for bucket in _buckets_without(planned, "aws_s3_bucket_public_access_block"):
        yield f"{bucket.address} has no public access block"
    for block in planned.of("aws_s3_bucket_public_access_block"):
        if not all(block.values[switch] for switch in switches):
            yield f"{block.address} leaves a way to make the bucket public"


@rule
def logs_are_kept_and_end(planned: Planned) -> Iterator[str]:
    """For two weeks at least, and not for ever."""
    for group in planned.of("aws_cloudwatch_log_group"):
        if not 14 <= group.values["retention_in_days"] <= 731:
            yield f"{group.address} keeps logs for {group.values['retention_in_days'] or 'all'} days"


@rule
def everything_that_stays_up_is_probed(planned: Planned) -> Iterator[str]:
    """Containers by ECS, targets by the load balancer."""
    for service, container in planned.services.items():
        if not (container.definition.get("healthCheck") or {}).get("command"):
            yield f"{service} has no health check"
    for group in planned.of("aws_lb_target_group"):
        if not all(check["enabled"] and check["path"].startswith("/") for check in group.values["health_check"]):
            yield f"{group.address} has no health check"


@rule
def deployments_roll_back(planned: Planned) -> Iterator[str]:
    """By the circuit breaker, and a task has its two minutes at most."""
    for service in planned.of("aws_ecs_service"):
        if not any(
            breaker["enable"] and breaker["rollback"] for breaker in service.values["deployment_circuit_breaker"]
        ):
            yield f"{service.address} stays broken when a deployment fails"
    for container in planned.containers:
        if not 1 <= container.definition.get("stopTimeout", 30) <= 120:
            yield f"{container.service} asks for {container.definition['stopTimeout']} s to stop; Fargate gives 120"


@rule
def containers_are_locked_down(planned: Planned) -> Iterator[str]:
    """An ordinary user, a read-only root, no capability."""
    for container in planned.containers:
        definition = container.definition
        if (definition.get("user") or "root").split(":")[0] in {"0", "root", ""}:
            yield f"{container.service} runs as root"
        if not definition.get("readonlyRootFilesystem"):
            yield f"{container.service} can write to its root file system"
        if definition.get("privileged"):
            yield f"{container.service} is privileged"
        capabilities = (definition.get("linuxParameters") or {}).get("capabilities") or {}
        if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
            yield f"{container.service} keeps capabilities"


@rule
def images_do_not_move(planned: Planned) -> Iterator[str]:
    """A digest in each task, tags that cannot be moved, a scan of what is pushed."""
    for container in planned.containers:
        if not re.search(r"@sha256:[0-9a-f]{64}$", container.definition["image"]):
            yield f"{container.service} runs {container.definition['image']}, which names no digest"
    for repository in planned.of("aws_ecr_repository"):
        if repository.values["image_tag_mutability"] != "IMMUTABLE":
            yield f"{repository.address} lets a tag move"
        if not all(
            scan["scan_on_push"]
            for scan in repository.values["image_scanning_configuration"] or [{"scan_on_push": False}]
        ):
            yield f"{repository.address} does not scan what is pushed"


@rule
def everything_is_tagged(planned: Planned) -> Iterator[str]:
    """With whose it is, and what made it."""
    for resource in planned.resources:
        if "tags_all" in resource.values:
            missing = [tag for tag in TAGS if tag not in (resource.values["tags_all"] or {})]
            if missing:
                yield f"{resource.address} lacks the tags {', '.join(missing)}"


@production_rule
def nothing_is_deleted_by_accident(planned: Planned) -> Iterator[str]:
    """Database, load balancer, buckets and secrets refuse, or can be brought back."""
    for database in planned.of("aws_db_instance"):
        if not database.values["deletion_protection"] or database.values["skip_final_snapshot"]:
            yield f"{database.address} can be deleted, or leaves no last snapshot"
    for balancer in planned.of("aws_lb"):
        if not balancer.values["enable_deletion_protection"]:
            yield f"{balancer.address} can be deleted"
    for bucket in planned.of("aws_s3_bucket"):
        if bucket.values["force_destroy"]:
            yield f"{bucket.address} can be deleted with what is in it"
    for secret in planned.of("aws_secretsmanager_secret"):
        if secret.values["recovery_window_in_days"] < 7:
            yield f"{secret.address} cannot be brought back"


@production_rule
def data_is_backed_up_and_survives_a_zone(planned: Planned) -> Iterator[str]:
    """And there is somebody to take over."""
    for database in planned.of("aws_db_instance"):
        if database.values["backup_retention_period"] < 7:
            yield f"{database.address} keeps backups for {database.values['backup_retention_period']} days"
        if not database.values["multi_az"]:
            yield f"{database.address} has no standby"
    for cache in planned.of("aws_elasticache_replication_group"):
        if not (cache.values["multi_az_enabled"] and cache.values["automatic_failover_enabled"]):
            yield f"{cache.address} has no failover"
        if cache.values["snapshot_retention_limit"] < 1:
            yield f"{cache.address} is never backed up"
    for broker in planned.of("aws_mq_broker"):
        if broker.values["deployment_mode"] != "CLUSTER_MULTI_AZ":
            yield f"{broker.address} has one node"
    for service in planned.of("aws_ecs_service"):
        if service.values["name"] == "api" and service.values["desired_count"] < 2:
            yield f"{service.address} has one task"
    versioned = _buckets_without(planned, "aws_s3_bucket_versioning")
    yield from (
        f"{bucket.address} forgets what is overwritten" for bucket in versioned if "logs" not in bucket.values["bucket"]
    )


def _public_subnets(planned: Planned) -> set[str]:
    gateways = {gateway.values["id"] for gateway in planned.of("aws_internet_gateway")}
    tables = {
        route.values["route_table_id"]
        for route in planned.of("aws_route")
        if route.values.get("gateway_id") in gateways
    }
    tables |= {
        table.values["id"]
        for table in planned.of("aws_route_table")
        if any(route.get("gateway_id") in gateways for route in table.values.get("route") or [])
    }
    routed = {
        link.values["subnet_id"]
        for link in planned.of("aws_route_table_association")
        if link.values["route_table_id"] in tables
    }
    return routed | {
        subnet.values["id"] for subnet in planned.of("aws_subnet") if subnet.values["map_public_ip_on_launch"]
    }


def _buckets_without(planned: Planned, kind: str) -> list[Resource]:
    having = {resource.values["bucket"] for resource in planned.of(kind)}
    return [bucket for bucket in planned.of("aws_s3_bucket") if bucket.values["id"] not in having]


def _denies_plain(policy: Resource) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and json.dumps(statement.get("Condition", {})).replace(" ", "") == '{"Bool":{"aws:SecureTransport":"false"}}'
        for statement in statements(policy.document("policy"))
    )
