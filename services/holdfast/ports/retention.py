"""What may be forgotten, and forgetting it. Promises and errors are those of `ports.ledger`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID


class Retention(Protocol):
    """Ended jobs and settled dead letters. What is open is never touched."""

    async def expired(self, succeeded: timedelta, dead: timedelta, limit: int) -> list[UUID]:
        """Jobs that ended longer ago than they are kept, oldest first.

        SUCCEEDED and CANCELLED ones are kept for `succeeded`; DEAD ones for `dead`, and for as long as a dead
        letter of theirs is neither replayed nor dropped.
        """
        ...

    async def forget(self, job_ids: Sequence[UUID]) -> int:
        """Delete those of the jobs that have ended, with their attempts and outbox rows; return how many."""
        ...

    async def forget_letters(self, dead: timedelta, limit: int) -> int:
        """Delete dead letters that were replayed or dropped longer than `dead` ago; return how many."""
        ...
