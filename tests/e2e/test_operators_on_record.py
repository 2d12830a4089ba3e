"""Every action of an operator is on record: who, what, to what, why."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest
from access_world import caller
from typer.testing import CliRunner, Result

from harness import JobCall, Platform, eventually
from holdfast.cli.main import app
from holdfast.client import Holdfast


@pytest.fixture
def dead(api: httpx.Client, submit: JobCall, wait: JobCall) -> JobCall:
    """Make a dead job with a tag; return its open dead letter."""

    def die() -> dict[str, Any]:
        job = wait(submit("test.flaky", {"reject": True}))
        found: list[dict[str, Any]] = eventually(lambda: [it for it in letters() if it["job_id"] == job["id"]])
        return found[0]

    def letters() -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = api.get("/v1/dead-letters", params={"limit": 200}).json()["dead_letters"]
        return listed

    return die


def test_a_replay_and_a_drop_are_on_record_with_who_and_why(platform: Platform, dead: JobCall) -> None:
    first, second = dead(), dead()
    with caller(platform, "operate") as operator:
        replay = operator.http.post(f"/v1/dead-letters/{first['id']}/replay", json={"reason": "the input is mended"})
        drop = operator.http.post(f"/v1/dead-letters/{second['id']}/drop", json={"reason": "a test order"})
        assert (replay.status_code, drop.status_code) == (202, 200)
        replayed, dropped = operator.deeds()
    assert (replayed.action, replayed.target, replayed.reason) == (
        "dead-letter.replay",
        first["id"],
        "the input is mended",
    )
    assert (dropped.action, dropped.target, dropped.reason) == ("dead-letter.drop", second["id"], "a test order")
    assert replayed.details == {"job_id": first["job_id"], "tenant": "default", "kind": "test.flaky"}
    assert (replayed.actor.key_id, replayed.actor.role, replayed.actor.address) == (
        operator.key_id,
        "operate",
        "127.0.0.1",
    )
    assert replayed.request_id == replay.headers["x-request-id"]


def test_an_action_that_is_refused_is_not_on_record(platform: Platform, dead: JobCall) -> None:
    letter = dead()
    with caller(platform, "operate") as operator:
        assert operator.http.post(f"/v1/dead-letters/{letter['id']}/drop", json={"reason": "once"}).status_code == 200
        assert operator.http.post(f"/v1/dead-letters/{letter['id']}/replay", json={}).status_code == 409
        assert operator.http.post(f"/v1/dead-letters/{uuid4()}/drop", json={"reason": "none"}).status_code == 404
        assert [deed.action for deed in operator.deeds()] == ["dead-letter.drop"]


def test_a_bulk_replay_is_one_entry_with_its_filter_and_its_counts(platform: Platform, dead: JobCall) -> None:
    letters = [dead(), dead()]
    chosen = {"fingerprint": letters[0]["fingerprint"], "since": letters[0]["died_at"]}
    with caller(platform, "operate") as operator:
        body = {"filter": chosen, "priority": "low", "reason": "after the outage"}
        looked = operator.http.post("/v1/dead-letters/replay", json=body | {"dry_run": True}).json()
        assert operator.deeds() == []
        done = operator.http.post("/v1/dead-letters/replay", json=body).json()
        (deed,) = operator.deeds()
    assert looked["matched"] == done["replayed"] >= 2
    assert (deed.action, deed.outcome, deed.reason) == ("dead-letters.replay", "done", "after the outage")
    assert (deed.details["matched"], deed.details["replayed"]) == (done["matched"], done["replayed"])
    assert (deed.details["filter"]["fingerprint"], deed.details["priority"]) == (chosen["fingerprint"], "low")


def test_an_operator_cancels_the_job_of_another_tenant_and_that_is_on_record(platform: Platform) -> None:
    with caller(platform, "submit", tenant=f"acme-{uuid4()}") as acme, caller(platform, "operate") as operator:
        jobs = [
            acme.http.post("/v1/jobs", json={"kind": "test.noop", "payload": {}, "delay": 600}).json() for _ in "ab"
        ]
        answer = operator.http.post(f"/v1/jobs/{jobs[0]['id']}/cancel", json={"reason": "runaway"})
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        assert acme.http.post(f"/v1/jobs/{jobs[1]['id']}/cancel").status_code == 200
        (deed,) = operator.deeds()
        assert acme.deeds() == [], "a client that cancels its own job is no operator"
    assert (deed.action, deed.target, deed.reason) == ("job.cancel", jobs[0]["id"], "runaway")


def test_the_audit_trail_is_for_operators_and_comes_by_pages(platform: Platform) -> None:
    with caller(platform, "submit", "read") as reader:
        assert reader.http.get("/v1/audit").status_code == 403
    with caller(platform, "operate") as operator:
        page = operator.http.get("/v1/audit", params={"limit": 1}).json()
        assert len(page["entries"]) == 1
        older = operator.http.get("/v1/audit", params={"limit": 1, "cursor": page["next_cursor"]}).json()
        assert older["entries"][0]["id"] < page["entries"][0]["id"]
        assert operator.http.get("/v1/audit", params={"action": "no.such"}).status_code == 422


@pytest.fixture
def holdfast(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> JobCall:
    """Run `holdfast` as a person on the server does."""
    monkeypatch.setenv("HOLDFAST_POSTGRES_URL", platform.settings.postgres_url.get_secret_value())
    monkeypatch.setenv("HOLDFAST_API_URL", platform.url)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return run  # type: ignore[return-value]


def test_keys_that_are_made_on_the_server_are_on_record_with_who_sat_there(platform: Platform, holdfast: Any) -> None:
    name = f"shop-{uuid4()}"
    made = holdfast("keys", "create", name, "--expires", "90d", "--reason", "for the shop")
    assert holdfast("keys", "revoke", name, "--reason", "it leaked").exit_code == 0
    with Holdfast(platform.url) as operator:
        deeds = [deed for deed in operator.audit(limit=50) if deed.details.get("name") == name]
    assert [(deed.action, deed.reason) for deed in deeds] == [
        ("key.revoke", "it leaked"),
        ("key.create", "for the shop"),
    ]
    assert (deeds[0].actor.tenant, deeds[0].actor.role) == ("(server)", "admin")
    assert made.stdout.strip() not in repr(deeds)
    listed = next(line for line in holdfast("keys", "list").stdout.splitlines() if name in line)
    assert listed.startswith(made.stdout[:9])
    assert "revoked" in listed


def test_holdfast_audit_shows_who_did_what_and_why(platform: Platform, holdfast: Any) -> None:
    name = f"shop-{uuid4()}"
    holdfast("keys", "create", name, "--reason", "for the shop")
    shown = holdfast("audit", "--action", "key.create", "--since", "1h", "--limit", "5")
    assert shown.exit_code == 0
    row = next(line for line in shown.stdout.splitlines() if name in line)
    assert "(server)/" in row
    assert "for the shop" in row
