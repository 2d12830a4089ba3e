"""The eight services as Compose and as a plan for AWS describe them, in one form, and how the two differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml
from planned import Container, Planned

EIGHT = ("api", "worker-render", "worker-webhook", "rabbitmq", "redis", "postgres", "prometheus", "grafana")
DEFAULT_STOP = 30  # of Fargate, in seconds
MANAGED = {
    "rabbitmq": "aws_mq_broker",
    "redis": "aws_elasticache_replication_group",
    "postgres": "aws_db_instance",
}
"""What AWS may run in place of a container."""

ONLY_ON_AWS = {
    "AWS_REGION": "where the bucket for artifacts is; Compose keeps them in a volume",
    "HOLDFAST_API_TLS": "the load balancer ends TLS; Compose publishes loopback alone",
    "HOLDFAST_CLOUDWATCH_NAMESPACE": "autoscaling reads the backlog from CloudWatch",
    "GF_SERVER_ROOT_URL": "Grafana has a name of its own behind the load balancer",
}
"""Environment keys that Compose does without, with the reason. One that AWS does not use either is an error."""


@dataclass(frozen=True)
class Service:
    """What must be the same wherever a service runs."""

    image: str
    command: tuple[str, ...]
    ports: frozenset[int]
    health_check: tuple[Any, ...]
    environment: frozenset[str]
    stop_grace: int


def in_compose(path: Path) -> dict[str, Service]:
    """The services without a profile."""
    services = yaml.safe_load(path.read_text())["services"]
    return {name: _from_compose(service) for name, service in services.items() if "profiles" not in service}


def on_aws(planned: Planned) -> dict[str, Service]:
    """The services on Fargate."""
    return {name: _from_container(container) for name, container in planned.services.items()}


def managed(planned: Planned) -> set[str]:
    """The services that AWS runs itself."""
    return {service for service, kind in MANAGED.items() if planned.of(kind)}


def differences(
    compose: Mapping[str, Service], aws: Mapping[str, Service], instead: set[str], where: str
) -> Iterator[str]:
    """One sentence for each difference."""
    for name in sorted({*compose, *aws, *instead}):
        if name not in compose:
            yield f"{where} has the service {name}, and docker-compose.yml has not"
        elif name in aws and name in instead:
            yield f"{where} runs {name} twice, on Fargate and managed by AWS"
        elif name not in aws and name not in instead:
            yield f"docker-compose.yml has the service {name}, and {where} has not"
        elif name in aws:
            yield from _between(name, compose[name], aws[name], where)


def _between(name: str, here: Service, there: Service, where: str) -> Iterator[str]:
    for field in fields(Service):
        one, other = getattr(here, field.name), getattr(there, field.name)
        if field.name == "environment":
            other = frozenset(other - ONLY_ON_AWS.keys())
        if one != other:
            key = field.name.replace("_", " ")
            yield (
                f"{name}'s {key} is {_said(one - other if key == 'environment' else one)} in docker-compose.yml and "
                + (f"{_said(other - one if key == 'environment' else other)} in {where}")
            )


def _said(value: Any) -> str:
    if isinstance(value, frozenset):
        return ", ".join(map(str, sorted(value))) or "nothing more"
    return repr(value)


def _from_compose(service: Mapping[str, Any]) -> Service:
    check = service["healthcheck"]
    published = [str(port).rsplit(":", 1)[-1] for port in [*service.get("ports", []), *service.get("expose", [])]]
    return Service(
        image=_base(service["image"]),
        command=tuple(str(word).replace("$$", "$") for word in service.get("command", [])),
        ports=frozenset(map(int, published)),
        health_check=(
            *check["test"],
            *(_seconds(check[key]) for key in ("interval", "timeout", "start_period")),
            check["retries"],
        ),
        environment=frozenset(service.get("environment", {})),
        stop_grace=_seconds(service.get("stop_grace_period", "10s")),
    )


def _from_container(container: Container) -> Service:
    definition = container.definition
    check = definition["healthCheck"]
    return Service(
        image=_base(definition["image"]),
        command=tuple(definition.get("command") or ()),
        ports=frozenset(mapping["containerPort"] for mapping in definition["portMappings"]),
        health_check=(*check["command"], check["interval"], check["timeout"], check["startPeriod"], check["retries"]),
        environment=frozenset(container.environment) | frozenset(container.secrets),
        stop_grace=definition.get("stopTimeout", DEFAULT_STOP),
    )


def _base(image: str) -> str:
    """`redis` of `redis:8.0.6`, `grafana` of `holdfast-grafana:local` and of `…/holdfast-dev/grafana@sha256:…`."""
    name = re.sub(r"(@sha256:\w+|:[^/]*)$", "", image.rsplit("/", 1)[-1])
    return name.removeprefix("holdfast-")


def _seconds(duration: str) -> int:
    match = re.fullmatch(r"(\d+)(s|m)", duration)
    assert match, f"{duration!r} is not whole seconds or minutes"
    return int(match[1]) * {"s": 1, "m": 60}[match[2]]
