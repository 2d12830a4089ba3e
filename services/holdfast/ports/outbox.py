"""The outbox: messages that are committed but not yet confirmed by the broker.

Every message that Holdfast publishes was a row here first, written in the transaction that made it necessary.
Promises and errors are those of `ports.ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from holdfast.domain.envelope import Envelope

LATE = timedelta(seconds=2)
"""A ticket whose confirm comes later than this after its row was written counts as issued when it was confirmed."""


class Outbox(Protocol):
    """Rows that wait for a confirm, and the rows that become messages when their time comes."""

    async def confirmed(self, sent: Sequence[Envelope]) -> None:
        """Delete the outbox rows of these envelopes: the broker has them."""
        ...

    async def unconfirmed(self, older_than: timedelta, limit: int) -> list[Envelope]:
        """Outbox rows that no confirm has deleted for `older_than`, oldest first."""
        ...

    async def size(self, at_most: int) -> int:
        """How many rows there are, counted up to `at_most`."""
        ...

    async def promote(self, limit: int) -> list[Envelope]:
        """Move due SCHEDULED and WAITING-with-a-due-time jobs to QUEUED; return their (already written) envelopes."""
        ...

    async def rescue(self, grace: timedelta, limit: int) -> list[Envelope]:
        """Give RUNNING jobs whose lease ran out more than `grace` ago a new ticket for the same attempt."""
        ...

    async def release(self, lanes: Sequence[str]) -> list[Envelope]:
        """In each lane with no job under way, let the first BLOCKED one begin; return the envelopes of those QUEUED.

        One whose time has not come is SCHEDULED, and `promote` will write its ticket. Safe to call at any time, and by
        many at once: of a lane at most one job is ever under way.
        """
        ...

    async def stalled(self, limit: int) -> list[str]:
        """Lanes with a BLOCKED job and none under way, in no order: whoever should have released it did not."""
        ...

    async def reissue(self, job_id: UUID, attempt: int, *, lost_by: datetime | None = None) -> Envelope | None:
        """A new ticket for an attempt whose message is gone through no fault of the job.

        None when the job has moved on, or waits for its due time (`promote` will write its ticket), or is RUNNING by a
        claim that was not made before `lost_by`: its lease says whether its holder lives, and `rescue` acts on that.
        """
        ...

    async def replace(self, queue: str, settled_for: timedelta, limit: int) -> list[Envelope]:
        """New tickets for the jobs of a work queue that have stood longest without being claimed.

        Only QUEUED jobs that have stood so for `settled_for`, and WAITING ones (without a due time) that have for
        as long after the longest wait in a retry queue, none of which has an outbox row: their tickets are in the
        work queue or lost. Running jobs are never touched, so a new ticket is at worst one too many.
        """
        ...
