"""The JSON of dead letters: what a letter shows, which ones to choose, what a replay did."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from holdfast.api.schemas import Instant, Priority, Reason, priority_number
from holdfast.domain.dead_letter import DeadLetter, DeadReason


class DeadLetterOut(BaseModel):
    """A message that the broker dead-lettered, with RabbitMQ's own headers."""

    id: UUID
    job_id: UUID | None
    tenant: str | None
    kind: str | None
    reason: DeadReason
    error: str
    message: str
    attempts: int
    fingerprint: str
    died_at: datetime
    replayed_at: datetime | None
    dropped_at: datetime | None
    dropped_by: str | None
    drop_reason: str | None
    headers: dict[str, Any]
    body: str
    traceback: str | None = None
    """Of the last attempt; for operators, and only when a single letter is read."""


class DeadLettersOut(BaseModel):
    """A page of dead letters, newest first."""

    dead_letters: list[DeadLetterOut]
    next_cursor: str | None


class DeadLetterGroupOut(BaseModel):
    """Equal failures: the same kind, reason, error and words but for names and numbers."""

    fingerprint: str
    kind: str | None
    reason: DeadReason
    error: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime


class DeadLetterGroupsOut(BaseModel):
    """The groups, the most frequent first."""

    groups: list[DeadLetterGroupOut]


class ReplayIn(BaseModel):
    """How to replay one dead letter."""

    model_config = ConfigDict(extra="forbid")

    priority: Annotated[Priority | None, Field(description="Instead of the job's own.")] = None
    reason: Reason | None = None


class DropIn(BaseModel):
    """Why a dead letter is dropped."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class DeadLetterFilter(BaseModel):
    """Which dead letters; every condition must hold."""

    model_config = ConfigDict(extra="forbid")

    kind: str | None = None
    reason: DeadReason | None = None
    error: Annotated[str | None, Field(description="A part of the error's name or message.")] = None
    fingerprint: Annotated[str | None, Field(description="One group of equal failures.")] = None
    since: Instant | None = None
    until: Instant | None = None


class BulkReplayIn(BaseModel):
    """Replay many, slowly if asked to."""

    model_config = ConfigDict(extra="forbid")

    filter: DeadLetterFilter
    dry_run: bool = False
    limit: Annotated[int | None, Field(ge=1, description="At most so many; all without it.")] = None
    rate: Annotated[float | None, Field(gt=0, le=1_000, description="Jobs a second.")] = None
    priority: Annotated[Priority | None, Field(description="Instead of each job's own: low is kind.")] = None
    reason: Reason | None = None


class BulkReplayOut(BaseModel):
    """What the bulk replay did."""

    matched: int
    replayed: int
    skipped: int
    dry_run: bool


def dead_letter_out(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter's answer."""
    shown = {name: getattr(letter, name) for name in DeadLetterOut.model_fields if name not in {"body", "traceback"}}
    return {**shown, "body": letter.body.decode("utf-8", "replace")}


def priority_or_none(priority: Literal["high", "default", "low"] | int | None) -> int | None:
    """The number behind a name, where there is one."""
    return None if priority is None else priority_number(priority)
