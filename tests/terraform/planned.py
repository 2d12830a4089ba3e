"""What a plan says will be there: resources, and the containers of its tasks, as values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resource:
    """One resource, with the values that it will have."""

    address: str
    type: str
    values: Mapping[str, Any]

    def document(self, attribute: str) -> dict[str, Any]:
        """An attribute that holds JSON, such as a policy."""
        return dict(json.loads(self.values[attribute] or "{}"))


@dataclass(frozen=True)
class Container:
    """The container of a task definition, and the definition around it."""

    service: str
    definition: Mapping[str, Any]
    task: Resource

    @property
    def environment(self) -> dict[str, str]:
        """Plain environment variables."""
        return {entry["name"]: entry["value"] for entry in self.definition.get("environment") or []}

    @property
    def secrets(self) -> dict[str, str]:
        """Variables that are filled from a secret, with its ARN."""
        return {entry["name"]: entry["valueFrom"] for entry in self.definition.get("secrets") or []}


class Planned:
    """The planned values of one `terraform show -json`, every module's together."""

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self.resources = list(_flattened(plan["planned_values"]["root_module"]))
        assert self.resources, "the plan has no resources"

    def of(self, *types: str) -> list[Resource]:
        """Resources of these types."""
        return [resource for resource in self.resources if resource.type in types]

    @property
    def containers(self) -> list[Container]:
        """Every container of every task definition."""
        return [
            Container(definition["name"], definition, task)
            for task in self.of("aws_ecs_task_definition")
            for definition in json.loads(task.values["container_definitions"])
        ]

    @property
    def services(self) -> dict[str, Container]:
        """The containers of services that stay up, by the service's name."""
        by_definition = {task.values["arn"]: task for task in self.of("aws_ecs_task_definition")}
        return {
            service.values["name"]: container
            for service in self.of("aws_ecs_service")
            for container in self.containers
            if container.task is by_definition.get(service.values["task_definition"])
        }


def _flattened(module: Mapping[str, Any]) -> Iterator[Resource]:
    for resource in module.get("resources", []):
        if resource["mode"] == "managed":
            yield Resource(resource["address"], resource["type"], resource["values"])
    for child in module.get("child_modules", []):
        yield from _flattened(child)
