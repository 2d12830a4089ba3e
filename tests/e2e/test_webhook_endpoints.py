"""Webhook endpoints through the whole platform: rotation, parking, probes, and no secret anywhere it should not be."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest
from receiver import Receiver
from typer.testing import CliRunner

from harness import JobCall, Platform, eventually
from holdfast.cli.main import app
from holdfast.handlers.webhook.probe import PROBE
from holdfast.handlers.webhook.signature import BadSignature, verify
from holdfast.settings import Settings

HEADER = "Bearer header-credential-4711"


@pytest.fixture(scope="module")
def platform(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One that loses patience with an endpoint quickly."""
    patience = {"endpoint_failures": 3, "endpoint_failing_for": 0.0, "endpoint_probe_after": 1.0}
    running = Platform(module_settings.model_copy(update=patience), tmp_path_factory.mktemp("platform"))
    try:
        running.start("api")
        running.start("worker-webhook")
        running.wait_ready()
        yield running
    finally:
        running.stop_all()


@pytest.fixture
def endpoint(api: httpx.Client, receiver: Receiver) -> dict[str, Any]:
    """An endpoint at the receiver, whose secret the receiver knows."""
    body = {"url": receiver.url, "secret": receiver.secret, "headers": {"Authorization": HEADER}}
    made = api.post("/v1/endpoints", json=body)
    assert made.status_code == 201, made.text
    shown: dict[str, Any] = made.json()
    return shown


def webhook(endpoint: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"endpoint_id": endpoint["id"], "event_type": "order.paid", "body": {"order": 1}} | fields


def state_of(api: httpx.Client, endpoint: dict[str, Any]) -> str:
    return str(api.get(f"/v1/endpoints/{endpoint['id']}").json()["state"])


def job_of(api: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v1/jobs/{job['id']}").json()
    return found


def parked(api: httpx.Client, job: dict[str, Any], endpoint: dict[str, Any]) -> dict[str, Any]:
    return eventually(lambda: job_of(api, job), lambda it: it["parked_by"] == endpoint["id"], within=40)


def genuine(receiver: Receiver) -> list[Any]:
    return [it.json["data"] for it in receiver.received if it.json["type"] != PROBE]


def test_a_webhook_goes_to_its_endpoint_and_both_secrets_sign_while_they_rotate(
    api: httpx.Client, submit: JobCall, wait: JobCall, receiver: Receiver, endpoint: dict[str, Any]
) -> None:
    assert endpoint["secret"] == receiver.secret
    assert wait(submit("webhook.dispatch", webhook(endpoint)))["state"] == "succeeded"
    rotated = api.post(f"/v1/endpoints/{endpoint['id']}/rotate-secret", json={"overlap_seconds": 3600})
    assert (rotated.status_code, rotated.headers["cache-control"]) == (200, "no-store")
    assert [it["expires_at"] is None for it in rotated.json()["secrets"]] == [True, False]
    new = rotated.json()["secret"]

    def delivered_with_both() -> bool:
        assert wait(submit("webhook.dispatch", webhook(endpoint)))["state"] == "succeeded"
        last = receiver.received[-1]
        verify(last.headers, last.body, [receiver.secret])
        try:
            verify(last.headers, last.body, [new])
        except BadSignature:
            return False
        return True

    eventually(delivered_with_both, within=20)
    assert receiver.refused == 0
    assert receiver.received[-1].headers["authorization"] == HEADER


def test_an_endpoint_shows_no_secret_and_belongs_to_its_tenant(api: httpx.Client, endpoint: dict[str, Any]) -> None:
    shown = api.get(f"/v1/endpoints/{endpoint['id']}").json()
    listed = api.get("/v1/endpoints").json()
    for text in (json.dumps(shown), json.dumps(listed)):
        assert endpoint["secret"] not in text
        assert HEADER not in text
    assert shown["header_names"] == ["Authorization"]
    assert endpoint["id"] in [it["id"] for it in listed["endpoints"]]


def test_a_webhook_to_an_endpoint_that_does_not_exist_is_refused(api: httpx.Client) -> None:
    body = {"kind": "webhook.dispatch", "payload": {"endpoint_id": str(uuid4()), "body": 1}}
    refused = api.post("/v1/jobs", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/payload/endpoint_id"


def test_a_410_disables_the_endpoint_and_an_operator_sends_what_was_parked(
    api: httpx.Client, submit: JobCall, wait: JobCall, receiver: Receiver, endpoint: dict[str, Any]
) -> None:
    receiver.fail_next(1, 410)
    first = submit("webhook.dispatch", webhook(endpoint, body={"n": 1}))
    assert parked(api, first, endpoint)["state"] == "waiting"
    assert state_of(api, endpoint) == "gone"
    second = submit("webhook.dispatch", webhook(endpoint, body={"n": 2}))
    parked(api, second, endpoint)
    assert api.get(f"/v1/endpoints/{endpoint['id']}").json()["parked_jobs"] == 2
    api.post(f"/v1/endpoints/{endpoint['id']}/enable", json={"reason": "the receiver is back"}).raise_for_status()
    assert [wait(job)["state"] for job in (first, second)] == ["succeeded"] * 2
    assert sorted(it["n"] for it in genuine(receiver)) == [1, 2]
    deeds = [it["action"] for it in api.get("/v1/audit", params={"target": endpoint["id"]}).json()["entries"]]
    assert deeds == ["endpoint.enable", "endpoint.create"]


def test_a_sick_endpoint_is_disabled_probed_and_gets_everything_once_and_in_order(
    api: httpx.Client, submit: JobCall, wait: JobCall, receiver: Receiver, endpoint: dict[str, Any]
) -> None:
    receiver.fail_next(1_000_000)
    keys = ["a", "b", "c"]
    jobs = [
        submit("webhook.dispatch", webhook(endpoint, body={"key": key, "n": n}, ordering_key=key))
        for n in range(3)
        for key in keys
    ]
    eventually(lambda: state_of(api, endpoint), lambda state: state == "failing", within=40)
    for head in jobs[:3]:
        parked(api, head, endpoint)
    assert {job_of(api, job)["state"] for job in jobs[3:]} == {"blocked"}
    receiver.recover()
    ended = [wait(job, within=60) for job in jobs]
    assert {job["state"] for job in ended} == {"succeeded"}
    assert state_of(api, endpoint) == "enabled"
    arrived = genuine(receiver)
    assert [[it["n"] for it in arrived if it["key"] == key] for key in keys] == [[0, 1, 2]] * 3
    assert set(receiver.deliveries.values()) == {1}
    assert any(it.json["type"] == PROBE for it in receiver.received), "the probe was signed, and answered"


def test_an_operators_word_holds_jobs_back_and_a_deadline_ends_one(
    api: httpx.Client, submit: JobCall, wait: JobCall, receiver: Receiver, endpoint: dict[str, Any]
) -> None:
    api.post(f"/v1/endpoints/{endpoint['id']}/disable", json={"reason": "maintenance"}).raise_for_status()
    deadline = (datetime.now(UTC) + timedelta(seconds=6)).isoformat()
    late = submit("webhook.dispatch", webhook(endpoint), deadline=deadline)
    kept = submit("webhook.dispatch", webhook(endpoint, body={"n": 7}))
    parked(api, kept, endpoint)
    ended = wait(late, within=60)
    assert (ended["state"], ended["failure"]["reason"]) == ("dead", "expired")
    assert receiver.received == []
    api.patch(f"/v1/endpoints/{endpoint['id']}", json={"event_types": ["order.*"]}).raise_for_status()
    api.post(f"/v1/endpoints/{endpoint['id']}/enable").raise_for_status()
    assert wait(kept)["state"] == "succeeded"
    unwanted = wait(submit("webhook.dispatch", webhook(endpoint, event_type="invoice.sent")))
    assert (unwanted["state"], "skipped" in unwanted["result"]) == ("succeeded", True)
    assert genuine(receiver) == [{"n": 7}]


def test_the_jobs_of_a_deleted_endpoint_say_so(
    api: httpx.Client, submit: JobCall, wait: JobCall, endpoint: dict[str, Any]
) -> None:
    api.post(f"/v1/endpoints/{endpoint['id']}/disable").raise_for_status()
    job = submit("webhook.dispatch", webhook(endpoint))
    parked(api, job, endpoint)
    assert api.delete(f"/v1/endpoints/{endpoint['id']}").json()["state"] == "deleted"
    ended = wait(job)
    assert (ended["state"], ended["failure"]["error"]) == ("dead", "EndpointDeleted")
    assert api.get(f"/v1/endpoints/{endpoint['id']}").status_code == 404


def test_the_command_line_does_all_of_it(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_API_URL", platform.url)

    def holdfast(*words: str) -> str:
        result = CliRunner().invoke(app, ["endpoints", *words])
        assert result.exit_code == 0, result.output
        return result.stdout

    secret = holdfast("create", "https://a.example/x", "--event-type", "order.*", "--header", "X-Shop: harbour").strip()
    assert secret.startswith("whsec_")
    made = json.loads(holdfast("list", "--json", "--limit", "1"))
    assert (made["url"], made["event_types"], made["header_names"]) == ("https://a.example/x", ["order.*"], ["X-Shop"])
    assert made["secret"] is None
    changed = json.loads(holdfast("change", made["id"], "--to", "https://b.example/y", "--json"))
    assert (changed["url"], changed["event_types"]) == ("https://b.example/y", ["order.*"])
    new = holdfast("rotate-secret", made["id"], "--overlap", "0s", "--reason", "leaked").strip()
    assert new.startswith("whsec_")
    assert new != secret
    assert "maintenance" in holdfast("disable", made["id"], "--reason", "maintenance")
    assert json.loads(holdfast("enable", made["id"], "--json"))["state"] == "enabled"
    shown = holdfast("show", made["id"])
    assert "b.example" in shown
    assert new not in shown
    assert json.loads(holdfast("delete", made["id"], "--json"))["state"] == "deleted"
    gone = CliRunner().invoke(app, ["endpoints", "show", made["id"]])
    assert gone.exit_code == 3


def test_no_secret_lies_in_clear_text_in_any_table_message_or_log(
    platform: Platform, api: httpx.Client, submit: JobCall, wait: JobCall, receiver: Receiver, endpoint: dict[str, Any]
) -> None:
    own = {"url": receiver.url, "body": {}, "secret": receiver.secret, "headers": {"Authorization": HEADER}}
    told = {"callback_url": receiver.url, "callback_secret": receiver.secret}
    jobs: list[dict[str, Any]] = []
    messages: list[Any] = []
    while not messages:  # they wait for two seconds, which a busy machine may let pass
        assert len(jobs) < 10, "nothing was ever seen in the broker"
        receiver.fail_next(2)
        both = [submit("webhook.dispatch", webhook(endpoint), **told), submit("webhook.dispatch", own, **told)]
        with suppress(AssertionError):
            messages = eventually(lambda: waiting_messages(platform.settings), within=5, every=0.2)
        assert [wait(job, within=60)["state"] for job in both] == ["succeeded"] * 2
        jobs += both
    eventually(lambda: len(receiver.received) >= 2 * len(jobs))
    everything = {
        "the ledger": asyncio.run(every_row(platform.settings)),
        "the broker": json.dumps(messages),
        "the logs": "".join(member.log.read_text(errors="replace") for member in platform.members.values()),
        "the jobs": json.dumps([job_of(api, job) for job in jobs]),
    }
    assert "sealed:" in everything["the ledger"]
    for place, text in everything.items():
        assert receiver.secret not in text, place
        assert HEADER not in text, place


def waiting_messages(settings: Settings) -> list[Any]:
    """What lies in the broker's retry queues, bodies and headers; it is left there."""
    vhost = quote(urlsplit(settings.rabbitmq_url.get_secret_value()).path[1:], safe="")
    management = urlsplit(settings.rabbitmq_management_url.get_secret_value())
    base = f"http://{management.hostname}:{management.port}/api/queues/{vhost}"
    found = []
    with httpx.Client(auth=(management.username or "", management.password or ""), timeout=60) as client:
        for bucket in range(4):
            asked = {"count": 50, "ackmode": "ack_requeue_true", "encoding": "auto"}
            found += client.post(f"{base}/holdfast.retry.2s.{bucket}/get", json=asked).json()
    return found


async def every_row(settings: Settings) -> str:
    """All that the ledger has, as text."""
    url = settings.postgres_url.get_secret_value().replace("+asyncpg", "")
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        dumps = [await connection.fetch(f'SELECT t::text AS row FROM "{it["tablename"]}" t') for it in tables]
    finally:
        await connection.close()
    return "\n".join(row["row"] for rows in dumps for row in rows)
