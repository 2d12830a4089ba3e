"""The ledger and the outbox in one dictionary each.

It keeps the promises of `ports.ledger` and `ports.outbox`, and passes the same contract
tests as the Postgres adapters. Every method runs without an await in the middle, hence atomically.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from uuid import UUID

from holdfast.adapters.memory.audit import MemoryAudit
from holdfast.domain.attempt import Ask, Attempt, AttemptState, Claim, Refusal, Ticket, refusal
from holdfast.domain.audit import AuditEntry
from holdfast.domain.backoff import LONGEST_BROKER_WAIT
from holdfast.domain.dead_letter import Failure
from holdfast.domain.envelope import Envelope, envelope
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import CANCELLABLE, ENDED, Job, JobState
from holdfast.domain.lane import UNDER_WAY
from holdfast.domain.settlement import Settlement
from holdfast.domain.topology import to_work
from holdfast.ports.clock import Clock
from holdfast.ports.ledger import JobQuery, Ledger
from holdfast.ports.outbox import LATE

TICKETED = frozenset({JobState.QUEUED, JobState.WAITING})
"""States of which a ticket is on its way, unless the job waits for its due time."""


@dataclass(slots=True)
class Record:
    """A job with what only the ledger knows of it."""

    job: Job
    since: datetime
    token: int = 0
    lease_until: datetime | None = None
    turn: int = 0
    """Its turn in its lane."""


class MemoryLedger(Ledger):
    """Implements `ports.ledger.Ledger` and `ports.outbox.Outbox`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.records: dict[UUID, Record] = {}
        self._owners: dict[tuple[str, str], UUID] = {}
        self._attempts: dict[tuple[UUID, int], Attempt] = {}
        self.outbox: dict[tuple[UUID, int], Envelope] = {}
        self.audit = MemoryAudit(clock)
        self.turns = count()

    # -- the ledger -------------------------------------------------------------------------------------------

    async def accept(self, jobs: Sequence[Job]) -> list[Job]:
        """The first job of a key owns it."""
        for job in jobs:
            if (job.tenant, job.idempotency_key) in self._owners:
                continue
            self._owners[job.tenant, job.idempotency_key] = job.id
            self.records[job.id] = Record(job, self.clock.now(), turn=next(self.turns))
            if job.state is JobState.QUEUED:
                self._ticket(self.records[job.id])
        return [self.records[self._owners[job.tenant, job.idempotency_key]].job for job in jobs]

    async def claim_all(self, asks: Sequence[Ask]) -> list[Claim | Refusal]:
        """One after the other."""
        return [self._claim(ask.ticket, ask.worker, ask.lease) for ask in asks]

    def _claim(self, ticket: Ticket, worker: str, lease: timedelta) -> Claim | Refusal:
        record = self.records.get(ticket.job_id)
        if record is None:
            return Refusal.UNKNOWN
        job, now = record.job, self.clock.now()
        if job.attempt != ticket.attempt or job.state not in {*TICKETED, JobState.RUNNING}:
            return refusal(job.state, job.attempt, ticket)
        if job.state is JobState.RUNNING:
            lost = record.lease_until is not None and record.lease_until < now
            if not (lost or ticket.redelivered):
                return refusal(job.state, job.attempt, ticket)
            record.job = replace(job, due_at=None, parked_by=None)
        else:
            record.job = job.move(JobState.RUNNING, due_at=None, parked_by=None, started_at=job.started_at or now)
        record.token += 1
        record.since, record.lease_until = now, now + lease
        self._log_start(record.job, worker, now)
        before = self._attempts.get((record.job.id, ticket.attempt - 1))
        parked_since = before.started_at if before is not None and before.parked else None
        return Claim(record.job, ticket.attempt, record.token, record.lease_until, parked_since)

    async def settle_all(self, outcomes: Sequence[tuple[Claim, Settlement]]) -> list[bool]:
        """One after the other."""
        return [await self._settle(claim, settlement) for claim, settlement in outcomes]

    async def _settle(self, claim: Claim, settlement: Settlement) -> bool:
        if not self._holds(claim):
            return False
        record = self.records[claim.job.id]
        now = self.clock.now()
        record.job = record.job.move(
            settlement.job_state,
            attempt=settlement.next_attempt,
            spent_before=record.job.spent_before + settlement.unspent,
            started_at=None if _never_started(record.job, settlement) else record.job.started_at,
            result=settlement.result,
            failure=settlement.failure,
            due_at=now + settlement.due_in if settlement.due_in is not None else None,
            parked_by=settlement.parked_by,
            finished_at=now if settlement.job_state in ENDED else None,
        )
        record.since, record.lease_until = now, None
        self._log_end(claim, settlement.attempt_state, now, settlement)
        if settlement.envelope is not None:
            self.outbox[claim.job.id, claim.token] = settlement.envelope
        await self.accept([settlement.follow_up] if settlement.follow_up else [])
        return True

    async def give_back(self, claim: Claim) -> None:
        """Make the attempt claimable again."""
        record = self._held(claim)
        record.job = record.job.move(JobState.QUEUED)
        record.since, record.lease_until = self.clock.now(), None
        key = claim.job.id, claim.attempt
        attempt = self._attempts[key]
        self._attempts[key] = replace(
            attempt,
            state=AttemptState.RETURNED,
            deliveries=attempt.deliveries - 1,
            finished_at=self.clock.now(),
        )

    async def lapsed(self, claims: Sequence[Claim]) -> list[Claim]:
        """Those whose token is not the job's, or whose job does not run."""
        return [claim for claim in claims if not self._holds(claim)]

    async def bury(self, job_id: UUID, attempt: int, failure: Failure, follow_up: Job | None = None) -> bool:
        """End the job unless it has moved on."""
        record = self.records.get(job_id)
        if record is None or not _open(record.job, attempt):
            return False
        now = self.clock.now()
        record.job = record.job.move(JobState.DEAD, failure=failure, due_at=None, parked_by=None, finished_at=now)
        record.token += 1
        record.since, record.lease_until = now, None
        if (job_id, attempt) in self._attempts:
            row = self._attempts[job_id, attempt]
            self._attempts[job_id, attempt] = replace(row, state=AttemptState.FAILED, failure=failure, finished_at=now)
        await self.accept([follow_up] if follow_up else [])
        return True

    async def job(self, tenant: str, job_id: UUID) -> Job | None:
        """One job by its id."""
        record = self.records.get(job_id)
        return record.job if record is not None and record.job.tenant == tenant else None

    async def any_job(self, job_id: UUID) -> Job | None:
        """One job by its id alone."""
        record = self.records.get(job_id)
        return record.job if record is not None else None

    async def owners(self, keys: Sequence[tuple[str, str]]) -> list[Job | None]:
        """One after the other."""
        found = map(self._owners.get, keys)
        return [self.records[owner].job if owner else None for owner in found]

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

    async def cancel(self, tenant: str | None, job_id: UUID, entry: AuditEntry | None = None) -> Job | None:
        """Cancel unless it has ended."""
        job = await self.any_job(job_id) if tenant is None else await self.job(tenant, job_id)
        if job is None or job.state not in CANCELLABLE:
            return job
        record, now = self.records[job_id], self.clock.now()
        if job.state is JobState.RUNNING:
            attempt = self._attempts[job_id, job.attempt]
            self._attempts[job_id, job.attempt] = replace(attempt, state=AttemptState.CANCELLED, finished_at=now)
        record.job = job.move(JobState.CANCELLED, finished_at=now, due_at=None, parked_by=None)
        record.token += 1
        record.since, record.lease_until = now, None
        self.outbox = {key: ticket for key, ticket in self.outbox.items() if key[0] != job_id}
        self.audit.keep(entry)
        return record.job

    async def ping(self) -> None:
        """Memory always answers."""

    # -- the outbox -------------------------------------------------------------------------------------------

    async def confirmed(self, sent: Sequence[Envelope]) -> None:
        """Delete by job id and token."""
        now = self.clock.now()
        for ticket in sent:
            gone = self.outbox.pop((ticket.job_id, ticket.token), None)
            record = self.records.get(ticket.job_id)
            if gone is None or record is None or gone.enqueued_at >= now - LATE:
                continue
            if record.token == ticket.token and record.job.state in TICKETED:
                record.since = now

    async def unconfirmed(self, older_than: timedelta, limit: int) -> list[Envelope]:
        """Oldest first."""
        before = self.clock.now() - older_than
        found = [ticket for ticket in self.outbox.values() if ticket.enqueued_at <= before]
        return sorted(found, key=lambda ticket: ticket.enqueued_at)[:limit]

    async def size(self, at_most: int) -> int:
        """Rows, up to `at_most`."""
        return min(len(self.outbox), at_most)

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
        return [self.requeue(record) for record in due[:limit]]

    async def rescue(self, grace: timedelta, limit: int) -> list[Envelope]:
        """Those whose holder has gone."""
        before = self.clock.now() - grace
        lost = [
            record
            for record in self.records.values()
            if record.job.state is JobState.RUNNING and record.lease_until is not None and record.lease_until < before
        ]
        return [self.requeue(record) for record in lost[:limit]]

    async def release(self, lanes: Sequence[str]) -> list[Envelope]:
        """The first of each lane, unless one is under way."""
        now = self.clock.now()
        tickets = []
        for lane in sorted(set(lanes).intersection(await self.stalled(len(self.records)))):
            blocked = [it for it in self.records.values() if (it.job.lane, it.job.state) == (lane, JobState.BLOCKED)]
            first = min(blocked, key=lambda record: record.turn)
            if first.job.due_at is None or first.job.due_at <= now:
                tickets.append(self.requeue(first))
            else:
                first.job, first.since, first.token = first.job.move(JobState.SCHEDULED), now, first.token + 1
        return tickets

    async def stalled(self, limit: int) -> list[str]:
        """Lanes with somebody blocked and nobody under way."""
        jobs = [record.job for record in self.records.values() if record.job.lane]
        taken = {job.lane for job in jobs if job.state in UNDER_WAY}
        return sorted({str(job.lane) for job in jobs if job.state is JobState.BLOCKED and job.lane not in taken})[
            :limit
        ]

    async def reissue(self, job_id: UUID, attempt: int, *, lost_by: datetime | None = None) -> Envelope | None:
        """One job's ticket, made anew."""
        record = self.records.get(job_id)
        if record is None or not _open(record.job, attempt) or record.job.due_at is not None:
            return None
        if record.job.state is JobState.RUNNING and (lost_by is None or record.since >= lost_by):
            return None
        return self.requeue(record)

    async def replace(self, queue: str, settled_for: timedelta, limit: int) -> list[Envelope]:
        """Those that have stood longest."""
        lost = [
            record for record in self.records.values() if record.job.queue == queue and self.home(record, settled_for)
        ]
        lost.sort(key=lambda record: record.since)
        return [self.requeue(record) for record in lost[:limit]]

    def home(self, record: Record, settled_for: timedelta) -> bool:
        """Whether the ticket of the job must be in its work queue."""
        waits = record.job.state is JobState.WAITING
        until = self.clock.now() - settled_for - (LONGEST_BROKER_WAIT if waits else timedelta(0))
        return self.ticketed(record) and record.since < until

    def ticketed(self, record: Record) -> bool:
        """Whether the ticket of the job must be in the broker."""
        unsent = any(job_id == record.job.id for job_id, _ in self.outbox)
        return record.job.state in TICKETED and record.job.due_at is None and not unsent

    def forget(self, job_id: UUID) -> bool:
        """Remove an ended job and all that belongs to it."""
        job = self.records[job_id].job
        if job.state not in ENDED:
            return False
        del self.records[job_id], self._owners[job.tenant, job.idempotency_key]
        self._attempts = {key: attempt for key, attempt in self._attempts.items() if key[0] != job_id}
        self.outbox = {key: ticket for key, ticket in self.outbox.items() if key[0] != job_id}
        return True

    # -- what both need ---------------------------------------------------------------------------------------

    def requeue(self, record: Record) -> Envelope:
        """Queue the job again under a new token, with a ticket in the outbox."""
        if record.job.state is not JobState.QUEUED:
            record.job = record.job.move(JobState.QUEUED, due_at=None, parked_by=None)
        record.token += 1
        record.since, record.lease_until = self.clock.now(), None
        return self._ticket(record)

    def _ticket(self, record: Record) -> Envelope:
        job = record.job
        ticket = envelope(job, job.attempt, record.token, to_work(job.queue), self.clock.now())
        self.outbox[job.id, record.token] = ticket
        return ticket

    def _holds(self, claim: Claim) -> bool:
        record = self.records[claim.job.id]
        return record.token == claim.token and record.job.state is JobState.RUNNING

    def _held(self, claim: Claim) -> Record:
        if not self._holds(claim):
            raise StaleClaim(claim.job.id, claim.attempt)
        return self.records[claim.job.id]

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
        key, before = (claim.job.id, claim.attempt), (claim.job.id, claim.attempt - 1)
        ended = replace(
            self._attempts[key], state=state, finished_at=now, failure=settlement.failure, detail=settlement.detail
        )
        if settlement.unspent:
            parked = self._attempts.get(before)
            if parked is not None and parked.parked:
                began = ended.started_at if settlement.parked_by else parked.started_at
                ended = replace(ended, parked=parked.parked, started_at=began)
                del self._attempts[before]
            ended = replace(ended, parked=ended.parked + 1)
        self._attempts[key] = ended


def _never_started(job: Job, settlement: Settlement) -> bool:
    """A first attempt that was parked has not begun its work."""
    return settlement.unspent > 0 and job.attempt == job.spent_before + 1


def _open(job: Job, attempt: int) -> bool:
    return job.attempt == attempt and job.state in {JobState.QUEUED, JobState.WAITING, JobState.RUNNING}
