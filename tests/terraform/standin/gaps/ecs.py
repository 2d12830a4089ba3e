"""Services of ECS: moto takes these fields and forgets them, so the second plan would set them again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.ecs.responses import EC2ContainerServiceResponse

from standin.filled import body, wraps

REMEMBERED = {
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
    "capacityProviderStrategy": "capacity_provider_strategy",
    "deploymentConfiguration": "deployment_configuration",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "enableExecuteCommand": "enable_execute_command",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
}
"""Field of the request: attribute of moto's service."""


@wraps(EC2ContainerServiceResponse, "create_service")
def _remember_created(original: Callable[..., Any], request: Any) -> Any:
    """Forgotten: the fields above."""
    return _remembering(original, request, "serviceName")


@wraps(EC2ContainerServiceResponse, "update_service")
def _remember_updated(original: Callable[..., Any], request: Any) -> Any:
    """Forgotten: the fields above."""
    return _remembering(original, request, "service")


def _remembering(original: Callable[..., Any], request: Any, name: str) -> Any:
    answer, asked = original(request), body(request)
    services, _ = request.ecs_backend.describe_services(asked.get("cluster", "default"), [asked[name]])
    for service in services:
        for field, attribute in REMEMBERED.items():
            if field in asked:
                setattr(service, attribute, asked[field])
    return answer
