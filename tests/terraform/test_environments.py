"""Both environments are made, found unchanged, and removed, against the stand-in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lifecycle import Lifecycle, changes
from standin.running import StandIn

LEFT_OVER: dict[str, str] = {}
"""Addresses, as patterns, that a second plan still changes, with the gap of moto that is behind it."""

HARMLESS = {"initial_password"}
"""What modules/secrets says is in the state and worth nothing after the first apply."""


def test_what_is_planned_is_accepted(life: Lifecycle) -> None:
    life.result("validate")
    actions = {
        action for resource in life.result("plan")["resource_changes"] for action in resource["change"]["actions"]
    }
    assert actions == {"create", "read"} or actions == {"create"}
    life.result("apply")


def test_a_second_plan_changes_nothing(plan: dict[str, Any]) -> None:
    unexplained = [
        change for change in changes(plan) if not any(re.search(known, change["address"]) for known in LEFT_OVER)
    ]
    assert not unexplained


def test_no_secret_is_in_the_state(life: Lifecycle) -> None:
    state = json.loads(life.result("state"))
    written = [
        f"{address}.{attribute}"
        for address, attribute, value in _attributes(state)
        if value
        and attribute
        in {"secret_string", "secret_string_wo", "password", "password_wo", "auth_token", "master_password"}
    ]
    known = [place for place in written if re.search(r"aws_mq_broker\.|aws_elasticache_replication_group\.", place)]
    assert written == known, "only what has no write-only argument may be there, and that is the initial password"


def test_the_initial_password_is_no_secret_of_the_platform(life: Lifecycle) -> None:
    """It lies in the state, so nothing that is injected into a task may be made of it."""
    state = json.loads(life.result("state"))
    for address, attribute, value in _attributes(state):
        if attribute == "random_password":
            assert address.endswith("aws_secretsmanager_random_password.initial")
            assert len(value) >= 32


def test_everything_can_be_destroyed(life: Lifecycle) -> None:
    life.result("destroy")


def test_nothing_was_asked_that_the_stand_in_lacks(lifecycles: dict[str, Lifecycle], standin: StandIn) -> None:
    for life in lifecycles.values():
        life.result("destroy")
    assert standin.lacks == []


def _attributes(state: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for resource in state["resources"]:
        address = ".".join(filter(None, [resource.get("module"), resource["type"], resource["name"]]))
        for instance in resource["instances"]:
            yield from ((address, *pair) for pair in _leaves(instance["attributes"]))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, name)
    else:
        yield name, value
