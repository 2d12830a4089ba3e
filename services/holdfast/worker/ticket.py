"""What a message says: its ticket, and hints for the log and the trace."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from holdfast.domain.attempt import Ticket
from holdfast.domain.envelope import Hints
from holdfast.domain.topology import wait_of


def ticket_of(message: Any, job_id: str, attempt: int) -> Ticket:
    """The ticket, with the broker's word whether somebody had it before; raise ValueError when it is none.

    `message` is kombu's, or Celery's request for it: both have `delivery_info` and `headers`.
    """
    if not isinstance(attempt, int):
        raise ValueError(f"{attempt!r} is no number of an attempt")
    return Ticket(UUID(job_id), attempt, redelivered=bool((message.delivery_info or {}).get("redelivered")))


def hints_of(message: Any) -> Hints:
    """What the message says beside its ticket, as far as it makes sense."""
    headers, delivery = message.headers or {}, message.delivery_info or {}
    return Hints(
        kind=_text(headers, "holdfast-kind"),
        idempotency_key=_text(headers, "idempotency-key"),
        traceparent=_text(headers, "traceparent"),
        ready_at=_ready_at(_text(headers, "enqueued-at"), str(delivery.get("routing_key"))),
    )


def _text(headers: Mapping[str, Any], name: str) -> str | None:
    value = headers.get(name)
    return value if isinstance(value, str) else None


def _ready_at(enqueued_at: str | None, routing_key: str) -> datetime | None:
    try:
        return datetime.fromisoformat(enqueued_at or "").astimezone(UTC) + wait_of(routing_key)
    except (ValueError, OverflowError):
        return None
