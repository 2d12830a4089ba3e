"""The Celery task message that carries a ticket: built by Celery's own code, so that Celery and Flower read it.

The body holds the job id and the attempt, nothing else. The payload stays in the ledger: nothing private lies in
the broker, and a replay can never run a stale body.
"""

from __future__ import annotations

from typing import Any

import amqp
from celery import Celery
from kombu.serialization import dumps

from holdfast.domain.envelope import Envelope

TASK = "holdfast.execute"
"""The one Celery task: run the attempt that the ticket names."""

_celery = Celery("holdfast", set_as_current=False)
_PERSISTENT = 2


def message_id(envelope: Envelope) -> str:
    """Names one publication; a returned message is recognised by it."""
    return f"{envelope.job_id}.{envelope.token}"


def encode(envelope: Envelope) -> amqp.Message:
    """The message for an envelope: protocol 2 of Celery, JSON, persistent, with an explicit priority."""
    job_id = str(envelope.job_id)
    headers, properties, body, _ = _celery.amqp.as_task_v2(
        job_id, TASK, args=(job_id, envelope.attempt), kwargs={}, argsrepr=f"({envelope.attempt})", kwargsrepr="{}"
    )
    headers |= _own_headers(envelope)
    content_type, content_encoding, data = dumps(body, serializer="json")  # type: ignore[no-untyped-call]
    return amqp.Message(
        data,
        content_type=content_type,
        content_encoding=content_encoding,
        application_headers=headers,
        delivery_mode=_PERSISTENT,
        priority=envelope.priority,
        message_id=message_id(envelope),
        correlation_id=properties["correlation_id"],
        timestamp=int(envelope.enqueued_at.timestamp()),
    )


def _own_headers(envelope: Envelope) -> dict[str, Any]:
    own: dict[str, Any] = {
        "holdfast-kind": envelope.kind,
        "holdfast-attempt": envelope.attempt,
        "idempotency-key": envelope.idempotency_key,
        "enqueued-at": envelope.enqueued_at.isoformat(),
    }
    if envelope.traceparent:
        own["traceparent"] = envelope.traceparent
    return own
