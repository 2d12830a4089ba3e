"""The dead letters: what the broker gave up on, kept until somebody decides.

Promises and errors are those of `ports.ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from holdfast.domain.audit import AuditEntry
from holdfast.domain.dead_letter import DeadLetter, DeadLetterGroup, DeadReason
from holdfast.domain.envelope import Envelope


@dataclass(frozen=True, slots=True)
class DeadLetterQuery:
    """Which dead letters to list, newest first; dropped and replayed ones only when asked for."""

    tenant: str | None = None
    kind: str | None = None
    reason: DeadReason | None = None
    error: str | None = None
    """A part of the error's name or message, letters of either case."""
    fingerprint: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    settled: bool = False
    replayable: bool = False
    """Only letters whose job is still dead in the attempt that the letter is about."""
    oldest_first: bool = False
    before: UUID | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Replayed:
    """A dead job that goes on: with an envelope when it is QUEUED, at the end of its lane when it is BLOCKED."""

    envelope: Envelope | None
    lane: str | None = None


class DeadLetters(Protocol):
    """The archive of the dead-letter queue."""

    async def archive(self, letters: Sequence[DeadLetter]) -> None:
        """Insert dead letters; one for an attempt that has one already is dropped (the broker may repeat itself)."""
        ...

    async def find(self, query: DeadLetterQuery) -> list[DeadLetter]:
        """At most `query.limit` dead letters, newest id first unless asked otherwise."""
        ...

    async def groups(self, query: DeadLetterQuery) -> list[DeadLetterGroup]:
        """The letters that the query would find, equal failures together, the most frequent first."""
        ...

    async def count(self, query: DeadLetterQuery) -> int:
        """How many letters the query would find without its limit."""
        ...

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """One dead letter."""
        ...

    async def replay(
        self, letter_id: UUID, priority: int | None, entry: AuditEntry | None = None, traceparent: str | None = None
    ) -> Replayed | None:
        """Queue the letter's DEAD job again, same id and key, with a fresh attempt budget; None if it cannot be.

        The envelope's outbox row is committed, and the audit entry, unless the replay is part of a bulk that has one.
        Attempt numbers go on counting, so that old tickets stay void. A job of a lane is BLOCKED behind all that the
        lane has, for it went on without it. `traceparent` is the job's from now on, if given.
        """
        ...

    async def drop(self, letter_id: UUID, by: str, why: str, entry: AuditEntry | None = None) -> DeadLetter | None:
        """Mark the letter as dropped and commit the entry; its row stays.

        None, and no entry, when the letter is unknown, replayed or dropped already.
        """
        ...
