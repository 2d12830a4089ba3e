"""What becomes of each answer of a receiver, with an egress that answers from a script."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from holdfast.domain.attempt import Bury, Outcome, Retry, Succeeded
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.errors import Rejected
from holdfast.engine.downstreams import PooledDownstreams
from holdfast.handlers.webhook import WebhookDispatch, WebhookPayload
from holdfast.handlers.webhook.signature import verify
from holdfast.ports.downstreams import NotNow
from holdfast.ports.egress import Response, Unreachable
from holdfast.ports.handler import Context
from holdfast.ports.limits import Limits
from holdfast.testing import lone_downstreams

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB = UUID("0190c2f0-0000-7000-8000-000000000001")


class Scripted:
    """An Egress that gives one answer and remembers what it was asked to send."""

    def __init__(self, answer: Response | Exception) -> None:
        self.answer = answer
        self.sent: list[tuple[str, bytes, Mapping[str, str], int, timedelta]] = []

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, limit: int, timeout: timedelta
    ) -> Response:
        self.sent.append((url, body, headers, limit, timeout))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def answering(status: int, body: bytes = b"", **headers: str) -> Scripted:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Scripted(Response(status, names, body, False, timedelta(milliseconds=12.34)))


def context(egress: Scripted, attempt: int = 1, limits: Limits | None = None) -> Context:
    nothing = cast("Any", None)
    return Context(
        job_id=JOB, tenant="t", kind="webhook.dispatch", attempt=attempt, idempotency_key="k",
        created_at=NOON - timedelta(days=1), token=attempt, artifacts=nothing, egress=cast("Any", egress),
        isolation=nothing, downstreams=lone_downstreams(), limits=limits or Limits(), find=nothing,
    )  # fmt: skip


async def deliver(egress: Scripted, attempt: int = 1, limits: Limits | None = None, **fields: Any) -> Outcome:
    payload = WebhookPayload.model_validate({"url": "https://hooks.example.com/in", "body": {"a": 1}} | fields)
    later = NOON + timedelta(seconds=attempt)
    return await WebhookDispatch(now=lambda: later).run(context(egress, attempt, limits), payload)


async def sickened(egress: Scripted, **fields: Any) -> Context:
    """A context whose receiver has been given ten webhooks."""
    found = context(egress)
    payload = WebhookPayload.model_validate({"url": "https://HOOKS.example.com:443/in", "body": {"a": 1}} | fields)
    for _ in range(10):
        await WebhookDispatch(now=lambda: NOON).run(found, payload)
    await cast(PooledDownstreams, found.downstreams).tell()
    return found


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_receiver_that_cannot_is_left_alone_however_its_url_is_spelt(status: int) -> None:
    found = await sickened(answering(status))
    with pytest.raises(NotNow, match=r"webhook:hooks\.example\.com may not be called now"):
        await WebhookDispatch().run(
            found, WebhookPayload.model_validate({"url": "https://hooks.example.com/other", "body": 1})
        )


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404, 410, 422, 500])
async def test_a_receiver_that_answers_is_well_whatever_it_answers(status: int) -> None:
    found = await sickened(answering(status))
    async with found.downstream("webhook:hooks.example.com"):
        pass


async def test_a_retry_after_stops_every_webhook_to_the_host() -> None:
    found = context(answering(503, retry_after="120"))
    payload = WebhookPayload.model_validate({"url": "https://hooks.example.com/in", "body": 1})
    await WebhookDispatch(now=lambda: NOON).run(found, payload)
    await cast(PooledDownstreams, found.downstreams).tell()
    with pytest.raises(NotNow) as caught:
        await WebhookDispatch().run(found, payload)
    assert timedelta(seconds=60) < caught.value.wait < timedelta(seconds=126)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_success(status: int) -> None:
    outcome = await deliver(answering(status), attempt=3)
    assert isinstance(outcome, Succeeded)
    assert outcome.result == {"status": status, "elapsed_ms": 12.3, "attempts": 3}


@pytest.mark.parametrize(
    "status", [301, 302, 304, 307, 400, 401, 403, 404, 408, 409, 413, 422, 425, 429, 500, 502, 503]
)
async def test_anything_else_but_410_is_retried(status: int) -> None:
    outcome = await deliver(answering(status))
    assert isinstance(outcome, Retry)
    assert (outcome.failure.error, outcome.failure.reason, outcome.after) == (f"Status{status}", None, None)
    assert "hooks.example.com" in outcome.failure.message


async def test_410_ends_the_job() -> None:
    outcome = await deliver(answering(410))
    assert isinstance(outcome, Bury)
    assert (outcome.failure.reason, outcome.failure.error) == (DeadReason.REJECTED, "ReceiverGone")


async def test_a_retry_after_is_passed_on() -> None:
    outcome = await deliver(answering(429, retry_after="120"))
    assert isinstance(outcome, Retry)
    assert outcome.after == timedelta(minutes=2)
    outcome = await deliver(answering(503, retry_after="Thu, 01 Jan 2026 12:00:31 GMT"))
    assert isinstance(outcome, Retry)
    assert outcome.after == timedelta(seconds=30)


async def test_the_answer_is_kept_whatever_the_outcome() -> None:
    for status in (200, 410, 500):
        outcome = await deliver(answering(status, b"no\0pe \xff", server="x", set_cookie="secret=1", x_request_id="r"))
        assert outcome.detail == {
            "status": status,
            "headers": {"server": "x", "x-request-id": "r"},
            "body": "no\ufffdpe \ufffd",
            "truncated": False,
            "elapsed_ms": 12.3,
        }


async def test_every_attempt_has_the_same_id_and_bytes_and_a_timestamp_of_its_own() -> None:
    egress = answering(500)
    await deliver(egress, attempt=1, secret=SECRET, event_type="a.b")
    await deliver(egress, attempt=2, secret=SECRET, event_type="a.b")
    (_, body, first, _, _), (_, again, second, _, _) = egress.sent
    assert body == again
    assert first["webhook-id"] == second["webhook-id"] == f"msg_{JOB.hex}"
    assert int(second["webhook-timestamp"]) == int(first["webhook-timestamp"]) + 1
    assert first["webhook-signature"] != second["webhook-signature"]
    assert verify(first, body, [SECRET], now=NOON) == verify(second, body, [SECRET], now=NOON)


async def test_the_clients_headers_go_along_and_ours_stay_ours() -> None:
    egress = answering(200)
    await deliver(egress, headers={"Content-Type": "application/cloudevents+json", "X-A": "b"})
    _, _, headers, _, _ = egress.sent[0]
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["x-a"] == "b"
    assert headers["user-agent"].startswith("Holdfast/")
    assert "webhook-signature" not in headers


async def test_limits_of_the_operator_count_more_than_wishes_of_the_client() -> None:
    egress = answering(200)
    await deliver(egress, timeout_seconds=60, limits=Limits(webhook_timeout=7, webhook_response_bytes=99))
    await deliver(egress, timeout_seconds=3)
    assert egress.sent[0][3:] == (99, timedelta(seconds=7))
    assert egress.sent[1][4] == timedelta(seconds=3)
    with pytest.raises(Rejected) as refused:
        await deliver(egress, limits=Limits(webhook_body_bytes=3))
    assert refused.value.error == "BodyTooLarge"


async def test_an_unreachable_receiver_is_the_engines_to_retry() -> None:
    with pytest.raises(Unreachable):
        await deliver(Scripted(Unreachable("no answer", error="ConnectTimeout")))
