"""The message that is put together here is the one that Celery makes and py-amqp writes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import amqp
import pytest

from holdfast.adapters.rabbitmq.message import celery_message, encode, message_id
from holdfast.domain.envelope import Envelope
from holdfast.domain.topology import to_work
from tickets import ticket

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def as_celery_has_it(envelope: Envelope) -> dict[str, Any]:
    """What a client of the broker reads when Celery and py-amqp wrote it."""
    headers, properties, _ = celery_message(str(envelope.job_id), envelope.attempt)
    headers |= {
        "holdfast-kind": envelope.kind,
        "holdfast-attempt": envelope.attempt,
        "idempotency-key": envelope.idempotency_key,
        "enqueued-at": envelope.enqueued_at.isoformat(),
    } | ({"traceparent": envelope.traceparent} if envelope.traceparent else {})
    written = amqp.Message(
        "",
        content_type="application/json",
        content_encoding="utf-8",
        application_headers=headers,
        delivery_mode=2,
        priority=envelope.priority,
        message_id=message_id(envelope),
        correlation_id=properties["correlation_id"],
        timestamp=int(envelope.enqueued_at.timestamp()),
    )
    return read(written._serialize_properties())


def read(properties: bytes) -> dict[str, Any]:
    message = amqp.Message()
    message._load_properties(60, properties, 0)
    found: dict[str, Any] = message.properties
    return found


@pytest.mark.parametrize(
    "envelope",
    [
        ticket(to_work("webhook"), priority=0),
        replace(ticket(to_work("image"), attempt=70_000, priority=31), traceparent=TRACEPARENT),
        replace(ticket(to_work("custom")), idempotency_key="k" * 255, kind="größe.test"),
    ],
    ids=["small", "traced", "long"],
)
def test_a_message_is_what_celery_would_have_sent(envelope: Envelope) -> None:
    content = encode(envelope)
    assert read(content.header[12:]) == as_celery_has_it(envelope)
    assert content.header[:4] == b"\x00\x3c\x00\x00"
    assert int.from_bytes(content.header[4:12]) == len(content.body)
    assert json.loads(content.body) == json.loads(json.dumps(celery_message(str(envelope.job_id), envelope.attempt)[2]))
