"""The dead letters in a dictionary, over the ledger in memory; held against the same tests as the Postgres adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.domain.audit import AuditEntry
from holdfast.domain.dead_letter import DeadLetter, DeadLetterGroup
from holdfast.domain.job import JobState
from holdfast.ports.dead_letters import DeadLetterQuery, Replayed


class MemoryDeadLetters:
    """Implements `ports.dead_letters.DeadLetters` over a MemoryLedger."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self.letters: dict[UUID, DeadLetter] = {}

    async def archive(self, letters: Sequence[DeadLetter]) -> None:
        """The first letter of an attempt stays."""
        known = {(letter.job_id, letter.attempt) for letter in self.letters.values()}
        for letter in letters:
            named = letter.job_id is not None and letter.attempt is not None
            if letter.id in self.letters or (named and (letter.job_id, letter.attempt) in known):
                continue
            self.letters[letter.id] = letter
            known.add((letter.job_id, letter.attempt))

    async def find(self, query: DeadLetterQuery) -> list[DeadLetter]:
        """Newest first."""
        found = sorted(self._matching(query), key=lambda letter: letter.id, reverse=not query.oldest_first)
        return found[: query.limit]

    async def groups(self, query: DeadLetterQuery) -> list[DeadLetterGroup]:
        """By fingerprint."""
        together: dict[str, list[DeadLetter]] = {}
        for letter in sorted(self._matching(query), key=lambda letter: letter.id):
            together.setdefault(letter.fingerprint, []).append(letter)
        groups = [_group(fingerprint, letters) for fingerprint, letters in together.items()]
        return sorted(groups, key=lambda group: (-group.count, group.fingerprint))[: query.limit]

    async def count(self, query: DeadLetterQuery) -> int:
        """All that match."""
        return len(self._matching(query))

    def _matching(self, query: DeadLetterQuery) -> list[DeadLetter]:
        found = [letter for letter in self.letters.values() if _matches(letter, query)]
        return [letter for letter in found if self._replayable(letter)] if query.replayable else found

    def _replayable(self, letter: DeadLetter) -> bool:
        record = self._ledger.records.get(letter.job_id) if letter.job_id else None
        return record is not None and record.job.state is JobState.DEAD and record.job.attempt == letter.attempt

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """One letter by its id."""
        return self.letters.get(letter_id)

    async def replay(
        self, letter_id: UUID, priority: int | None, entry: AuditEntry | None = None, traceparent: str | None = None
    ) -> Replayed | None:
        """Revive the job and mark the letter."""
        letter = self.letters.get(letter_id)
        if letter is None or letter.job_id is None or letter.replayed_at or letter.dropped_at:
            return None
        if not self._replayable(letter):
            return None
        record = self._ledger.records[letter.job_id]
        job = record.job
        record.job = job.move(
            JobState.BLOCKED if job.lane else JobState.QUEUED,
            attempt=job.attempt + 1,
            spent_before=job.attempt,
            priority=job.priority if priority is None else priority,
            traceparent=traceparent or job.traceparent,
            failure=None,
            finished_at=None,
            deadline=None,
        )
        self.letters[letter_id] = replace(letter, replayed_at=self._ledger.clock.now())
        self._ledger.audit.keep(entry)
        if job.lane is None:
            return Replayed(self._ledger.requeue(record))
        record.token, record.since, record.turn = record.token + 1, self._ledger.clock.now(), next(self._ledger.turns)
        return Replayed(None, job.lane)

    async def drop(self, letter_id: UUID, by: str, why: str, entry: AuditEntry | None = None) -> DeadLetter | None:
        """Mark the letter."""
        letter = self.letters.get(letter_id)
        if letter is None or letter.replayed_at or letter.dropped_at:
            return None
        dropped = replace(letter, dropped_at=self._ledger.clock.now(), dropped_by=by, drop_reason=why)
        self.letters[letter_id] = dropped
        self._ledger.audit.keep(entry)
        return dropped


def _group(fingerprint: str, letters: Sequence[DeadLetter]) -> DeadLetterGroup:
    newest, times = letters[-1], [letter.died_at for letter in letters]
    words = newest.kind, newest.reason, newest.error, newest.message
    return DeadLetterGroup(fingerprint, *words, len(letters), min(times), max(times))


def _matches(letter: DeadLetter, query: DeadLetterQuery) -> bool:
    text = f"{letter.error} {letter.message}".lower()
    return (
        query.tenant in {None, letter.tenant}
        and query.kind in {None, letter.kind}
        and query.reason in {None, letter.reason}
        and query.fingerprint in {None, letter.fingerprint}
        and (query.error is None or query.error.lower() in text)
        and (query.since is None or letter.died_at >= query.since)
        and (query.until is None or letter.died_at < query.until)
        and (query.settled or not (letter.replayed_at or letter.dropped_at))
        and (query.before is None or letter.id < query.before)
    )
