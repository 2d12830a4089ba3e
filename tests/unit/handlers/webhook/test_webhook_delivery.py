"""The handler, the real egress and the demo's receiver together, on loopback."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, cast
from uuid import uuid4

import pytest

from holdfast.adapters.egress import AiohttpEgress
from holdfast.domain.attempt import Outcome, Retry, Succeeded
from holdfast.handlers.webhook import WebhookDispatch, WebhookPayload
from holdfast.ports.egress import Forbidden
from holdfast.ports.handler import Context
from holdfast.ports.limits import Limits
from holdfast.testing import lone_downstreams


def load_receiver() -> ModuleType:
    path = Path(__file__).parents[4] / "examples/demo/receiver.py"
    spec = importlib.util.spec_from_file_location("demo_receiver", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


demo = load_receiver()


@pytest.fixture
def receiver() -> Iterator[Any]:
    with demo.Receiver(demo.new_secret()) as running:
        yield running


@pytest.fixture
async def egress() -> AsyncIterator[AiohttpEgress]:
    client = AiohttpEgress(["127.0.0.1/32"])
    yield client
    await client.close()


async def deliver(egress: AiohttpEgress, receiver: Any, context: Context | None = None, **fields: Any) -> Outcome:
    payload = WebhookPayload.model_validate(
        {"url": receiver.url, "body": {"n": 1}, "secret": receiver.secret, "event_type": "demo.done"} | fields
    )
    return await WebhookDispatch().run(context or a_context(egress), payload)


def a_context(egress: AiohttpEgress) -> Context:
    nothing = cast("Any", None)
    return Context(
        job_id=uuid4(), tenant="t", kind="webhook.dispatch", attempt=1, idempotency_key="k",
        created_at=datetime(2026, 1, 1, tzinfo=UTC), token=1, artifacts=nothing, egress=egress,
        isolation=nothing, downstreams=lone_downstreams(), limits=Limits(), find=nothing,
    )  # fmt: skip


async def test_a_webhook_arrives_signed_and_is_acted_on_once(egress: AiohttpEgress, receiver: Any) -> None:
    context = a_context(egress)
    receiver.fail_next(1)
    first = await deliver(egress, receiver, context)
    assert isinstance(first, Retry)
    assert first.after == timedelta(seconds=1)
    for _ in range(2):
        assert isinstance(await deliver(egress, receiver, context), Succeeded)
    assert [delivery.json["type"] for delivery in receiver.received] == ["demo.done"]
    assert receiver.deliveries == {f"msg_{context.job_id.hex}": 2}


async def test_a_webhook_with_another_secret_is_refused_by_the_receiver(egress: AiohttpEgress, receiver: Any) -> None:
    outcome = await deliver(egress, receiver, secret=demo.new_secret())
    assert isinstance(outcome, Retry)
    assert outcome.failure.error == "Status401"
    assert (receiver.refused, receiver.received) == (1, [])
    rotating = await deliver(egress, receiver, secret=None, secrets=[demo.new_secret(), receiver.secret])
    assert isinstance(rotating, Succeeded)


async def test_a_receiver_on_loopback_is_out_of_reach_unless_it_is_allowed(receiver: Any) -> None:
    guarded = AiohttpEgress()
    with pytest.raises(Forbidden, match="HOLDFAST_EGRESS_ALLOW"):
        await deliver(guarded, receiver)
    await guarded.close()
    assert receiver.received == []


async def test_many_webhooks_at_once_all_arrive_once(egress: AiohttpEgress, receiver: Any) -> None:
    outcomes = await asyncio.gather(*(deliver(egress, receiver) for _ in range(200)))
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
    assert len(receiver.received) == 200
    assert set(receiver.deliveries.values()) == {1}
