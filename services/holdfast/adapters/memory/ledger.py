"""The ledger, the outbox and the dead letters in one dictionary each.

It keeps the promises of `ports.ledger`, `ports.outbox` and `ports.dead_letters`, and passes the same contract
tests as the Postgres adapters. Every method runs without an await in the middle, hence atomically.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from holdfast.domain.attempt import Attempt, AttemptState, Claim, Refusal, Ticket, refusal
from holdfast.domain.dead_letter import DeadLetter, Failure
from holdfast.domain.envelope import Envelope, envelope
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import CANCELLABLE, ENDED, Job, JobState
from holdfast.domain.settlement import Settlement
from holdfast.domain.topology import to_work
from holdfast.ports.clock import Clock
from holdfast.ports.dead_letters import DeadLetterQuery
from holdfast.ports.ledger import JobQuery


@dataclass(slots=True)
class _Record:
    """A job with what only the ledger knows of it."""

    job: Job
    token: int = 0
    lease_until: datetime | None = None


class MemoryLedger:
    """Implements `ports.ledger.Ledger` and `ports.outbox.Outbox`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.records: dict[UUID, _Record] = {}
        self._owners: dict[tuple[str, str], UUID] = {}
        self._attempts: dict[tuple[UUID, int], Attempt] = {}
        self.outbox: dict[tuple[UUID, int], Envelope] = {}

    # -- the ledger -------------------------------------------------------------------------------------------

    async def accept(self, jobs: Sequence[Job]) -> list[Job]:
        """The first job of a key owns it."""
        for job in jobs:
            if (job.tenant, job.idempotency_key) in self._owners:
                continue
            self._owners[job.tenant, job.idempotency_key] = job.id
            self.records[job.id] = _Record(job)
            if job.state is JobState.QUEUED:
                self._ticket(self.records[job.id])
        return [self.records[self._owners[job.tenant, job.idempotency_key]].job for job in jobs]

    async def claim(self, ticket: Ticket, worker: str, lease: timedelta) -> Claim | Refusal:
        """Grant or refuse, as the port says."""
        record = self.records.get(ticket.job_id)
        if record is None:
            return Refusal.UNKNOWN
        job, now = record.job, self.clock.now()
        if job.attempt != ticket.attempt or job.state in ENDED or job.state is JobState.SCHEDULED:
            return refusal(job.state, job.attempt, ticket)
        if job.state is JobState.RUNNING:
            lost = record.lease_until is not None and record.lease_until < now
            if not (lost or ticket.redelivered):
                return refusal(job.state, job.attempt, ticket)
            record.job = replace(job, due_at=None)
        else:
            record.job = job.move(JobState.RUNNING, due_at=None, started_at=job.started_at or now)
        record.token += 1
        record.lease_until = now + lease
        self._log_start(record.job, worker, now)
        return Claim(record.job, ticket.attempt, record.token, record.lease_until)

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        """Write the outcome under the claim's token."""
        record = self._held(claim)
        now = self.clock.now()
        record.job = record.job.move(
            settlement.job_state,
            attempt=settlement.next_attempt,
            result=settlement.result,
            failure=settlement.failure,
            due_at=now + settlement.due_in if settlement.due_in is not None else None,
            finished_at=now if settlement.job_state in ENDED else None,
        )
        record.lease_until = None
        self._log_end(claim, settlement.attempt_state, now, settlement)
        if settlement.envelope is not None:
            self.outbox[claim.job.id, claim.token] = settlement.envelope

    async def give_back(self, claim: Claim) -> None:
        """Make the attempt claimable again."""
        record = self._held(claim)
        record.job = record.job.move(JobState.QUEUED)
        record.lease_until = None
        key = claim.job.id, claim.attempt
        attempt = self._attempts[key]
        self._attempts[key] = replace(
            attempt,
            state=AttemptState.RETURNED,
            deliveries=attempt.deliveries - 1,
            finished_at=self.clock.now(),
        )

    async def bury(self, job_id: UUID, attempt: int, failure: Failure) -> bool:
        """End the job unless it has moved on."""
        record = self.records.get(job_id)
        if record is None or not _open(record.job, attempt):
            return False
        now = self.clock.now()
        record.job = record.job.move(JobState.DEAD, failure=failure, due_at=None, finished_at=now)
        record.token += 1
        record.lease_until = None
        if (job_id, attempt) in self._attempts:
            row = self._attempts[job_id, attempt]
            self._attempts[job_id, attempt] = replace(row, state=AttemptState.FAILED, failure=failure, finished_at=now)
        return True

    async def job(self, tenant: str, job_id: UUID) -> Job | None:
        """One job by its id."""
        record = self.records.get(job_id)
        return record.job if record is not None and record.job.tenant == tenant else None

    async def any_job(self, job_id: UUID) -> Job | None:
        """One job by its id alone."""
        record = self.records.get(job_id)
        return record.job if record is not None else None

    async def job_by_key(self, tenant: str, key: str) -> Job | None:
        """One job by its key."""
        owner = self._owners.get((tenant, key))
        return self.records[owner].job if owner else None

    async def jobs(self, query: JobQuery) -> list[Job]:
        """Newest first."""
        found = [
            record.job
            for record in self.records.values()
            if record.job.tenant == query.tenant
            and query.state in {None, record.job.state}
            and query.kind in {None, record.job.kind}
            and (query.tag is None or query.tag in record.job.tags)
            and (query.before is None or record.job.id < query.before)
        ]
        return sorted(found, key=lambda job: job.id, reverse=True)[: query.limit]

    async def attempts(self, job_id: UUID) -> list[Attempt]:
        """Oldest first."""
        return [attempt for (owner, _), attempt in sorted(self._attempts.items()) if owner == job_id]

    async def cancel(self, tenant: str, job_id: UUID) -> Job | None:
        """Cancel unless it runs or has ended."""
        job = await self.job(tenant, job_id)
        if job is None or job.state not in CANCELLABLE:
            return job
        record = self.records[job_id]
        record.job = job.move(JobState.CANCELLED, finished_at=self.clock.now(), due_at=None)
        self.outbox = {key: ticket for key, ticket in self.outbox.items() if key[0] != job_id}
        return record.job

    async def ping(self) -> None:
        """Memory always answers."""

    # -- the outbox -------------------------------------------------------------------------------------------

    async def confirmed(self, sent: Sequence[Envelope]) -> None:
        """Delete by job id and token."""
        for ticket in sent:
            self.outbox.pop((ticket.job_id, ticket.token), None)

    async def unconfirmed(self, older_than: timedelta, limit: int) -> list[Envelope]:
        """Oldest first."""
        before = self.clock.now() - older_than
        found = [ticket for ticket in self.outbox.values() if ticket.enqueued_at <= before]
        return sorted(found, key=lambda ticket: ticket.enqueued_at)[:limit]

    async def promote(self, limit: int) -> list[Envelope]:
        """Those whose time has come, oldest first."""
        now = self.clock.now()
        due = [
            record
            for record in self.records.values()
            if record.job.state in {JobState.SCHEDULED, JobState.WAITING}
            and record.job.due_at is not None
            and record.job.due_at <= now
        ]
        due.sort(key=lambda record: record.job.due_at or now)
        return [self._requeue(record) for record in due[:limit]]

    async def rescue(self, grace: timedelta, limit: int) -> list[Envelope]:
        """Those whose holder has gone."""
        before = self.clock.now() - grace
        lost = [
            record
            for record in self.records.values()
            if record.job.state is JobState.RUNNING and record.lease_until is not None and record.lease_until < before
        ]
        return [self._requeue(record) for record in lost[:limit]]

    async def reissue(self, job_id: UUID, attempt: int) -> Envelope | None:
        """One job's ticket, made anew."""
        record = self.records.get(job_id)
        if record is None or not _open(record.job, attempt) or record.job.due_at is not None:
            return None
        return self._requeue(record)

    # -- what both need ---------------------------------------------------------------------------------------

    def _requeue(self, record: _Record) -> Envelope:
        if record.job.state is not JobState.QUEUED:
            record.job = record.job.move(JobState.QUEUED, due_at=None)
        record.token += 1
        record.lease_until = None
        return self._ticket(record)

    def _ticket(self, record: _Record) -> Envelope:
        job = record.job
        ticket = envelope(job, job.attempt, record.token, to_work(job.queue), self.clock.now())
        self.outbox[job.id, record.token] = ticket
        return ticket

    def _held(self, claim: Claim) -> _Record:
        record = self.records[claim.job.id]
        if record.token != claim.token or record.job.state is not JobState.RUNNING:
            raise StaleClaim(claim.job.id, claim.attempt)
        return record

    def _log_start(self, job: Job, worker: str, now: datetime) -> None:
        key = job.id, job.attempt
        earlier = self._attempts.get(key)
        self._attempts[key] = (
            Attempt(job.id, job.attempt, AttemptState.RUNNING, worker, 1, now)
            if earlier is None
            else replace(
                earlier,
                state=AttemptState.RUNNING,
                worker=worker,
                deliveries=earlier.deliveries + 1,
                finished_at=None,
            )
        )

    def _log_end(self, claim: Claim, state: AttemptState, now: datetime, settlement: Settlement) -> None:
        key = claim.job.id, claim.attempt
        self._attempts[key] = replace(
            self._attempts[key], state=state, finished_at=now, failure=settlement.failure, detail=settlement.detail
        )


def _open(job: Job, attempt: int) -> bool:
    return job.attempt == attempt and job.state in {JobState.QUEUED, JobState.WAITING, JobState.RUNNING}


class MemoryDeadLetters:
    """Implements `ports.dead_letters.DeadLetters` over a MemoryLedger."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self._letters: dict[UUID, DeadLetter] = {}

    async def archive(self, letters: Sequence[DeadLetter]) -> None:
        """The first letter of an attempt stays."""
        known = {(letter.job_id, letter.attempt) for letter in self._letters.values()}
        for letter in letters:
            named = letter.job_id is not None and letter.attempt is not None
            if letter.id in self._letters or (named and (letter.job_id, letter.attempt) in known):
                continue
            self._letters[letter.id] = letter
            known.add((letter.job_id, letter.attempt))

    async def find(self, query: DeadLetterQuery) -> list[DeadLetter]:
        """Newest first."""
        found = [letter for letter in self._letters.values() if _matches(letter, query)]
        return sorted(found, key=lambda letter: letter.id, reverse=True)[: query.limit]

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """One letter by its id."""
        return self._letters.get(letter_id)

    async def replay(self, letter_id: UUID, priority: int | None) -> Envelope | None:
        """Revive the job and mark the letter."""
        letter = self._letters.get(letter_id)
        if letter is None or letter.job_id is None or letter.replayed_at or letter.dropped_at:
            return None
        record = self._ledger.records.get(letter.job_id)
        if record is None or record.job.state is not JobState.DEAD or record.job.attempt != letter.attempt:
            return None
        job = record.job
        record.job = job.move(
            JobState.QUEUED,
            attempt=job.attempt + 1,
            spent_before=job.attempt,
            priority=job.priority if priority is None else priority,
            failure=None,
            finished_at=None,
            deadline=None,
        )
        self._letters[letter_id] = replace(letter, replayed_at=self._ledger.clock.now())
        return self._ledger._requeue(record)

    async def drop(self, letter_id: UUID, by: str, why: str) -> DeadLetter | None:
        """Mark the letter."""
        letter = self._letters.get(letter_id)
        if letter is None or letter.replayed_at or letter.dropped_at:
            return None
        dropped = replace(letter, dropped_at=self._ledger.clock.now(), dropped_by=by, drop_reason=why)
        self._letters[letter_id] = dropped
        return dropped


def _matches(letter: DeadLetter, query: DeadLetterQuery) -> bool:
    text = f"{letter.error} {letter.message}".lower()
    return (
        query.tenant in {None, letter.tenant}
        and query.kind in {None, letter.kind}
        and query.reason in {None, letter.reason}
        and (query.error is None or query.error.lower() in text)
        and (query.since is None or letter.died_at >= query.since)
        and (query.until is None or letter.died_at < query.until)
        and (query.settled or not (letter.replayed_at or letter.dropped_at))
        and (query.before is None or letter.id < query.before)
    )
