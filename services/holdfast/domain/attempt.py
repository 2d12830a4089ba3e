"""One attempt at a job: the ticket that asks for it, the claim that grants it, the outcome that ends it.

A ticket is what travels through the broker; it may be duplicated or redelivered at will. A claim carries a
fencing token, and only the holder of the newest token may settle. So: one attempt, one effect in the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from holdfast.domain.dead_letter import Failure
from holdfast.domain.job import Job, JobState


class AttemptState(StrEnum):
    """How an attempt stands or ended."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PARKED = "parked"
    RETURNED = "returned"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to ask for one attempt. `redelivered` is the broker's word that an earlier holder let go of it."""

    job_id: UUID
    attempt: int
    redelivered: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """A worker's request for the attempt that a ticket names, for as long as `lease`."""

    ticket: Ticket
    worker: str
    lease: timedelta


@dataclass(frozen=True, slots=True)
class Claim:
    """A granted attempt. `token` grows with every claim of the job; the ledger refuses any but the newest."""

    job: Job
    attempt: int
    token: int
    lease_until: datetime
    parked_since: datetime | None = None
    """When the attempts began that were parked in a row up to this one."""


class Refusal(StrEnum):
    """Why a ticket got no claim, and what becomes of its message."""

    SETTLED = "settled"
    """This attempt has its outcome already, or the job has ended: acknowledge."""
    HELD = "held"
    """Another worker holds a live claim, and this copy of the ticket is not the one it was given: acknowledge."""
    DEAD = "dead"
    """The job died in this attempt, and its worker may have died before it could say so: dead-letter."""
    UNKNOWN = "unknown"
    """The ledger has no such job: dead-letter."""

    @property
    def dead(self) -> bool:
        """Whether the message belongs in the dead letters."""
        return self in {Refusal.DEAD, Refusal.UNKNOWN}


def refusal(state: JobState, attempt: int, ticket: Ticket) -> Refusal:
    """Why `ticket` gets no claim on a job that stands at `attempt` in `state`."""
    if attempt == ticket.attempt and state is JobState.RUNNING:
        return Refusal.HELD
    if attempt == ticket.attempt and state is JobState.DEAD:
        return Refusal.DEAD
    return Refusal.SETTLED


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt, as the ledger keeps it."""

    job_id: UUID
    number: int
    state: AttemptState
    worker: str
    deliveries: int
    """How often a worker took this attempt up without giving it back: more than one means crashes."""
    started_at: datetime
    finished_at: datetime | None = None
    failure: Failure | None = None
    detail: Mapping[str, Any] | None = None
    """What the handler wants kept of this attempt, such as a webhook's response."""
    parked: int = 0
    """How often in a row the job was parked up to this attempt, which stands for all of them: it began with the first
    (the last, where that waits for an endpoint), and has the number and the reason of the last."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The effect happened. `result` is the job's result (JSON)."""

    result: Mapping[str, Any]
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """The attempt failed and another may succeed. `after` is the least wait that the other side asked for."""

    failure: Failure
    after: timedelta | None = None
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Park:
    """Not now, and not the job's fault: wait at least `wait` without spending an attempt."""

    wait: timedelta
    why: str
    detail: Mapping[str, Any] | None = None
    parked_by: UUID | None = None
    """The endpoint whose enabling ends the wait sooner."""


@dataclass(frozen=True, slots=True)
class Bury:
    """The job cannot succeed. `failure.reason` says which kind of death it is."""

    failure: Failure
    detail: Mapping[str, Any] | None = None


Outcome = Succeeded | Retry | Park | Bury
