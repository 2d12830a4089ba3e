"""An operator's word about a downstream: it stops the calls of the whole pool, ends by itself, and is on record."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from access_world import caller
from receiver import Receiver
from typer.testing import CliRunner

from harness import JobCall, Platform, eventually
from holdfast.cli.main import app
from holdfast.handlers.destination import destination

HOUR = {"ttl": 3600, "reason": "their maintenance"}


@pytest.fixture
def name() -> str:
    return f"webhook:{uuid4()}.example.com"


def test_an_override_is_shown_with_who_and_why_until_it_is_taken_back(platform: Platform, name: str) -> None:
    with caller(platform, "operate") as operator:
        path = f"/v1/breakers/{name}"
        assert operator.http.get(path).json()["state"] == "closed"
        forced = operator.http.put(f"{path}/override", json=HOUR | {"state": "open"}).json()
        assert (forced["override"]["state"], forced["override"]["by"]) == ("open", operator.name)
        assert forced["override"]["reason"] == HOUR["reason"]
        listed = {it["name"]: it for it in operator.http.get("/v1/breakers").json()["breakers"]}
        assert listed[name]["override"] == operator.http.get(path).json()["override"] == forced["override"]
        cleared = operator.http.delete(f"{path}/override", params={"reason": "they are back"})
        assert (cleared.status_code, cleared.json()["override"]) == (200, None)
        opened, released = operator.deeds()
    assert (opened.action, opened.target, opened.reason) == ("breaker.override", name, HOUR["reason"])
    assert (opened.outcome, opened.details) == ("done", {"state": "open", "ttl": 3600.0})
    assert (released.action, released.target, released.reason) == ("breaker.release", name, "they are back")


def test_a_forced_breaker_parks_the_jobs_of_its_destination_until_it_is_released(
    platform: Platform, api: httpx.Client, submit: JobCall, wait: JobCall, receiver: Receiver
) -> None:
    with caller(platform, "operate") as operator:
        path = f"/v1/breakers/{destination('webhook', receiver.url)}/override"
        assert operator.http.put(path, json=HOUR | {"state": "open", "ttl": 20}).status_code == 200
        job = submit("webhook.dispatch", {"url": receiver.url, "body": {}, "secret": receiver.secret})
        first = eventually(
            lambda: api.get(job["links"]["attempts"]).json()["attempts"],
            lambda found: found and found[0]["state"] == "parked",
        )[0]
        assert "an operator has stopped the calls" in first["detail"]["parked"]
        assert receiver.received == []
        assert operator.http.delete(path).status_code == 200
    ended = wait(job, within=120)
    assert ended["state"] == "succeeded"
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"state": "half_open"}, "/state"),
        ({"state": "open", "ttl": 0}, "/ttl"),
        ({"state": "open", "ttl": 8 * 24 * 3600}, "/ttl"),
        ({"state": "open", "reason": ""}, "/reason"),
    ],
)
def test_a_wrong_override_is_refused(api: httpx.Client, name: str, body: dict[str, Any], pointer: str) -> None:
    answer = api.put(f"/v1/breakers/{name}/override", json=HOUR | body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


def test_breakers_are_for_operators(platform: Platform, name: str) -> None:
    with caller(platform, "submit", "read", "admin") as other:
        answers = [
            other.http.get("/v1/breakers"),
            other.http.get(f"/v1/breakers/{name}"),
            other.http.put(f"/v1/breakers/{name}/override", json=HOUR | {"state": "open"}),
            other.http.delete(f"/v1/breakers/{name}/override"),
        ]
    assert [answer.status_code for answer in answers] == [403] * 4


def test_holdfast_breakers_forces_shows_and_clears(
    platform: Platform, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_API_URL", platform.url)

    def holdfast(*arguments: str) -> str:
        ran = CliRunner().invoke(app, ["breakers", *arguments])
        assert ran.exit_code == 0, ran.output
        return ran.output

    assert "forced open until" in holdfast("open", name, "--for", "2h", "--reason", "their maintenance")
    row = next(line for line in holdfast("list").splitlines() if name in line)
    assert "their maintenance" in row
    assert "forced" not in holdfast("clear", name)
