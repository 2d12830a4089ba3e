"""What goes to the broker: a ticket and the few words that routing and tracing need. Never a payload."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from holdfast.domain.job import Job
from holdfast.domain.topology import Route, to_work


@dataclass(frozen=True, slots=True)
class Hints:
    """What a ticket's message says of its job.

    Good enough to size a lease and to name the job in a log line before the ledger has spoken; never trusted.
    """

    kind: str | None = None
    idempotency_key: str | None = None
    traceparent: str | None = None
    ready_at: datetime | None = None
    """When the ticket was to run: written, and its wait in a retry queue over."""


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message to publish; an outbox row is an envelope that has not been confirmed yet."""

    job_id: UUID
    attempt: int
    token: int
    """The job's fencing token when this was written: with the job id it names the outbox row."""
    kind: str
    idempotency_key: str
    route: Route
    priority: int
    enqueued_at: datetime
    traceparent: str | None = None


def envelope(job: Job, attempt: int, token: int, route: Route, now: datetime) -> Envelope:
    """The ticket for `attempt` of the job, sent by `route`."""
    return Envelope(job.id, attempt, token, job.kind, job.idempotency_key, route, job.priority, now, job.traceparent)


def first_ticket(job: Job, now: datetime) -> Envelope:
    """The ticket of a job that was just accepted: its outbox row has the token 0."""
    return envelope(job, 1, 0, to_work(job.queue), now)
