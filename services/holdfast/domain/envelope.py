"""What goes to the broker: a ticket and the few words that routing and tracing need. Never a payload."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from holdfast.domain.topology import Route


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message to publish; an outbox row is an envelope that has not been confirmed yet."""

    job_id: UUID
    attempt: int
    kind: str
    idempotency_key: str
    route: Route
    priority: int
    enqueued_at: datetime
    traceparent: str | None = None
