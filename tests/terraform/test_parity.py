"""Compose and both environments on AWS run the same eight services; a drift is one sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from parity import EIGHT, MANAGED, ONLY_ON_AWS, Service, differences, in_compose, managed, on_aws
from planned import Planned
from terraform_cli import REPOSITORY

COMPOSE = REPOSITORY / "docker-compose.yml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Service]:
    return in_compose(COMPOSE)


def test_compose_has_the_eight_services(compose: dict[str, Service]) -> None:
    assert sorted(compose) == sorted(EIGHT)


def test_an_environment_runs_what_compose_runs(compose: dict[str, Service], planned: Planned, environment: str) -> None:
    assert list(differences(compose, on_aws(planned), managed(planned), f"terraform/environments/{environment}")) == []


def test_development_runs_all_of_them_on_fargate(planned: Planned, environment: str) -> None:
    assert managed(planned) == (set(MANAGED) if environment == "production" else set())


def test_what_only_aws_needs_is_used_there(planned: Planned) -> None:
    used = {key for service in on_aws(planned).values() for key in service.environment}
    assert ONLY_ON_AWS.keys() <= used


DRIFTS: list[tuple[str, Any, str]] = [
    ("image", "celery", "api's image is 'holdfast' in docker-compose.yml and 'celery' in here"),
    ("command", ("holdfast",), "api's command is ('holdfast', 'api') in docker-compose.yml and ('holdfast',) in here"),
    ("ports", frozenset({80}), "api's ports is 8000 in docker-compose.yml and 80 in here"),
    ("health_check", ("CMD", "true"), "('CMD', 'true') in here"),
    ("stop_grace", 2, "api's stop grace is 30 in docker-compose.yml and 2 in here"),
]


@pytest.mark.parametrize(("field", "value", "sentence"), DRIFTS, ids=[field for field, _, _ in DRIFTS])
def test_a_drift_is_one_sentence_with_service_key_and_both_values(
    compose: dict[str, Service], field: str, value: Any, sentence: str
) -> None:
    drifted = compose | {"api": replace(compose["api"], **{field: value})}
    (said,) = differences(compose, drifted, set(), "here")
    assert said.startswith(f"api's {field.replace('_', ' ')} is ") and sentence in said


def test_an_environment_key_that_one_side_lacks_is_named(compose: dict[str, Service]) -> None:
    keys = compose["api"].environment
    fewer = compose | {"api": replace(compose["api"], environment=keys - {"HOLDFAST_REDIS_URL"})}
    more = compose | {"api": replace(compose["api"], environment=keys | {"HOLDFAST_LIMIT", *ONLY_ON_AWS})}
    assert list(differences(compose, fewer, set(), "here")) == [
        "api's environment is HOLDFAST_REDIS_URL in docker-compose.yml and nothing more in here"
    ]
    assert list(differences(compose, more, set(), "here")) == [
        "api's environment is nothing more in docker-compose.yml and HOLDFAST_LIMIT in here"
    ]


def test_a_service_that_is_missing_added_or_doubled_is_named(compose: dict[str, Service]) -> None:
    without = {name: service for name, service in compose.items() if name != "redis"}
    assert list(differences(compose, without, set(), "here")) == [
        "docker-compose.yml has the service redis, and here has not"
    ]
    assert list(differences(without, compose, set(), "here")) == [
        "here has the service redis, and docker-compose.yml has not"
    ]
    assert list(differences(compose, without, {"redis"}, "here")) == []
    assert list(differences(compose, compose, {"redis"}, "here")) == [
        "here runs redis twice, on Fargate and managed by AWS"
    ]
