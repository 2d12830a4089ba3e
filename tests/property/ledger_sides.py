"""A ledger with what belongs to it, and what can be observed of it: times by presence or roughly, for each ledger has a
clock of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from holdfast.adapters.memory.dead_letters import MemoryDeadLetters
from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.adapters.postgres import rows
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.dead_letters import PostgresDeadLetters
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.outbox import PostgresOutbox
from holdfast.domain.attempt import Attempt, Claim, Refusal
from holdfast.domain.dead_letter import DeadLetter
from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import Job
from holdfast.domain.settlement import Settlement
from holdfast.ports.dead_letters import DeadLetterQuery, DeadLetters, Replayed
from holdfast.ports.ledger import JobQuery, Ledger
from holdfast.ports.outbox import Outbox

ALL = 100_000


class Seen(NamedTuple):
    """What a side shows."""

    jobs: list[Any]
    tokens: dict[UUID, tuple[int, bool]]
    """The token, and whether there is a lease."""
    attempts: list[Any]
    outbox: set[tuple[Any, ...]]
    letters: list[Any]


class Side(ABC):
    """One ledger with its outbox and dead letters."""

    def __init__(self, ledger: Ledger, outbox: Outbox, dead_letters: DeadLetters) -> None:
        self.ledger, self.outbox, self.dead_letters = ledger, outbox, dead_letters
        self.claims: list[Claim] = []

    @abstractmethod
    async def seen(self, tenant: str) -> Seen:
        """All that can be observed of the tenant."""

    async def jobs(self, tenant: str) -> list[Any]:
        return [visible(job) for job in await self.ledger.jobs(JobQuery(tenant, limit=ALL))]

    async def filed(self, tenant: str) -> list[Any]:
        everything = DeadLetterQuery(tenant=tenant, settled=True, limit=ALL)
        ready = replace(everything, settled=False, replayable=True, oldest_first=True)
        return [
            [visible_letter(letter) for letter in await self.dead_letters.find(everything)],
            [letter.id for letter in await self.dead_letters.find(ready)],
            await self.dead_letters.count(ready),
            await self.dead_letters.groups(everything),
        ]


class InMemory(Side):
    """All of it is of one tenant."""

    def __init__(self, memory: MemoryLedger) -> None:
        super().__init__(memory, memory, MemoryDeadLetters(memory))
        self._memory = memory

    async def seen(self, tenant: str) -> Seen:
        records = self._memory.records
        attempts = [attempt for job_id in sorted(records) for attempt in await self._memory.attempts(job_id)]
        return Seen(
            await self.jobs(tenant),
            {job_id: (record.token, record.lease_until is not None) for job_id, record in records.items()},
            [visible_attempt(attempt) for attempt in attempts],
            {row_of(envelope) for envelope in self._memory.outbox.values()},
            await self.filed(tenant),
        )


class InPostgres(Side):
    """Beside those of other tenants."""

    def __init__(self, database: Database) -> None:
        super().__init__(PostgresLedger(database), PostgresOutbox(database), PostgresDeadLetters(database))
        self._database = database

    async def seen(self, tenant: str) -> Seen:
        tokens = await self._database.all(
            "SELECT id, token, lease_until IS NOT NULL AS leased FROM jobs WHERE tenant = $1", tenant
        )
        attempts = await self._database.all(
            "SELECT a.* FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE tenant = $1 ORDER BY job_id, number",
            tenant,
        )
        outbox = await self._database.all(
            "SELECT o.*, j.kind, j.idempotency_key, j.traceparent FROM outbox o JOIN jobs j ON j.id = o.job_id "
            "WHERE tenant = $1",
            tenant,
        )
        return Seen(
            await self.jobs(tenant),
            {row.id: (row.token, row.leased) for row in tokens},
            [visible_attempt(rows.to_attempt(row)) for row in attempts],
            {row_of(rows.to_envelope(row)) for row in outbox},
            await self.filed(tenant),
        )


async def ids(owners: Awaitable[list[Job]]) -> list[UUID]:
    return [job.id for job in await owners]


async def or_stale(act: Awaitable[None]) -> str:
    try:
        await act
    except StaleClaim:
        return "stale"
    return "done"


async def settled(ledger: Ledger, claim: Claim, settlement: Callable[[Claim], Settlement]) -> str:
    return await or_stale(ledger.settle(claim, settlement(claim)))


async def plain(found: Awaitable[Job | None]) -> Any:
    job = await found
    return job and visible(job)


async def named(found: Awaitable[Envelope | None]) -> Any:
    envelope = await found
    return envelope and row_of(envelope)


async def revived(found: Awaitable[Replayed | None]) -> Any:
    replayed = await found
    return replayed and (replayed.envelope and row_of(replayed.envelope), replayed.lane)


async def named_claims(found: Awaitable[list[Claim]]) -> list[tuple[UUID, int]]:
    return [(claim.job.id, claim.token) for claim in await found]


async def kept(found: Awaitable[DeadLetter | None]) -> Any:
    letter = await found
    return letter and visible_letter(letter)


def observed(answer: Claim | Refusal) -> Any:
    return answer if isinstance(answer, Refusal) else (visible(answer.job), answer.attempt, answer.token)


def visible(job: Job) -> Any:
    due = job.due_at and (job.due_at - datetime.now(UTC) > timedelta(minutes=5))
    return replace(job, due_at=None, started_at=None, finished_at=None), [
        due,
        job.started_at is not None,
        job.finished_at is not None,
    ]


def visible_attempt(attempt: Attempt) -> Any:
    return replace(attempt, started_at=datetime.min, finished_at=None), attempt.finished_at is not None


def visible_letter(letter: DeadLetter) -> Any:
    times = letter.replayed_at is not None, letter.dropped_at is not None
    return replace(letter, replayed_at=None, dropped_at=None), times


def row_of(envelope: Envelope) -> tuple[Any, ...]:
    return envelope.job_id, envelope.token, envelope.attempt, envelope.route, envelope.priority, envelope.kind
