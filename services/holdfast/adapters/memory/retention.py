"""Forgetting, over the ledger in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from holdfast.adapters.memory.dead_letters import MemoryDeadLetters
from holdfast.adapters.memory.ledger import MemoryLedger, Record
from holdfast.domain.job import ENDED, JobState


class MemoryRetention:
    """Implements `ports.retention.Retention` over a MemoryLedger."""

    def __init__(self, ledger: MemoryLedger, dead_letters: MemoryDeadLetters) -> None:
        self._ledger, self._dead_letters = ledger, dead_letters

    async def expired(self, succeeded: timedelta, dead: timedelta, limit: int) -> list[UUID]:
        """By id, which sorts by acceptance."""
        found = [job_id for job_id, record in self._ledger.records.items() if self._expired(record, succeeded, dead)]
        return sorted(found)[:limit]

    async def forget(self, job_ids: Sequence[UUID]) -> int:
        """Those that have ended."""
        gone = [job_id for job_id in job_ids if job_id in self._ledger.records]
        return sum(self._ledger.forget(job_id) for job_id in gone)

    async def forget_letters(self, dead: timedelta, limit: int) -> int:
        """Those that were settled long enough ago."""
        before = self._ledger.clock.now() - dead
        letters = self._dead_letters.letters
        settled = {letter.id: letter.replayed_at or letter.dropped_at for letter in letters.values()}
        gone = [letter_id for letter_id, at in settled.items() if at is not None and at < before][:limit]
        for letter_id in gone:
            del letters[letter_id]
        return len(gone)

    def _expired(self, record: Record, succeeded: timedelta, dead: timedelta) -> bool:
        job = record.job
        kept = dead if job.state is JobState.DEAD else succeeded
        if job.state not in ENDED or job.finished_at is None or job.finished_at >= self._ledger.clock.now() - kept:
            return False
        letters = self._dead_letters.letters.values() if job.state is JobState.DEAD else ()
        return not any(it.job_id == job.id and not (it.replayed_at or it.dropped_at) for it in letters)
