"""A job and the states it moves through.

    SCHEDULED ──due──► QUEUED ──claim──► RUNNING ──► SUCCEEDED
                         ▲ ▲               │ │ ▲ └──► DEAD ──replay──► QUEUED
                         │ └──given back───┘ │ └──claim (its ticket came home)──┐
                         └──due──────────────┴──retry, park──► WAITING ─────────┘

    SCHEDULED, QUEUED, RUNNING and WAITING can be cancelled; QUEUED and WAITING can die without a claim (poison).
    A job of a lane (`domain.lane`) begins, and is replayed, as BLOCKED; from there it becomes SCHEDULED or QUEUED.

Invariant: `LEGAL` lists every state, and a job only ever moves along it. Ended states are
SUCCEEDED, CANCELLED and DEAD; only an operator's replay leads out of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from holdfast.domain.dead_letter import Failure
from holdfast.domain.errors import IllegalTransition


class JobState(StrEnum):
    """Where a job stands. The value is what the API and the ledger show."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    DEAD = "dead"


LEGAL: Mapping[JobState, frozenset[JobState]] = {
    JobState.BLOCKED: frozenset({JobState.QUEUED, JobState.SCHEDULED, JobState.CANCELLED}),
    JobState.SCHEDULED: frozenset({JobState.QUEUED, JobState.CANCELLED, JobState.DEAD}),
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED, JobState.DEAD}),
    JobState.RUNNING: frozenset(
        {JobState.QUEUED, JobState.WAITING, JobState.SUCCEEDED, JobState.CANCELLED, JobState.DEAD}
    ),
    JobState.WAITING: frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLED, JobState.DEAD}),
    JobState.SUCCEEDED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.DEAD: frozenset({JobState.QUEUED, JobState.BLOCKED}),
}
ENDED = frozenset({JobState.SUCCEEDED, JobState.CANCELLED, JobState.DEAD})
CANCELLABLE = frozenset(JobState) - ENDED

MIN_PRIORITY, MAX_PRIORITY = 0, 31
PRIORITIES: Mapping[str, int] = {"high": 24, "default": 12, "low": 4}
"""Names for the strict priorities of a RabbitMQ 4.3 quorum queue (0-31, higher first)."""


@dataclass(frozen=True, slots=True)
class Job:
    """One accepted job, as the ledger keeps it. Times are UTC; `attempt` counts from 1."""

    id: UUID
    tenant: str
    kind: str
    queue: str
    state: JobState
    priority: int
    payload: Mapping[str, Any]
    idempotency_key: str
    fingerprint: bytes
    attempt: int
    created_at: datetime
    due_at: datetime | None = None
    deadline: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    result: Mapping[str, Any] | None = None
    failure: Failure | None = None
    tags: tuple[str, ...] = ()
    traceparent: str | None = None
    callback_url: str | None = None
    """Where to tell how the job ended."""
    callback_secret: str | None = None
    """Signs the callback."""
    spent_before: int = 0
    """Attempts that do not count against the budget: those before the last replay, and parked ones."""
    lane: str | None = None
    """Runs after the earlier jobs of its lane (`domain.lane`)."""
    parked_by: UUID | None = None
    """The endpoint that it waits for, until it is enabled again."""

    def move(self, to: JobState, **changes: Any) -> Job:
        """Return the job in state `to` with `changes` applied; raise IllegalTransition off the map."""
        if to not in LEGAL[self.state]:
            raise IllegalTransition(self.id, self.state, to)
        return replace(self, state=to, **changes)


def job_id(now_ms: int, entropy: bytes) -> UUID:
    """Build a UUIDv7 (RFC 9562, 5.7) from Unix milliseconds and ten random bytes, so that ids sort by time."""
    value = (now_ms & (1 << 48) - 1) << 80 | int.from_bytes(entropy[:10], "big")
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    return UUID(int=value)
