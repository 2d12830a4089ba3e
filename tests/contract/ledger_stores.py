"""The ledger, the outbox and the dead letters of one adapter, and how the contract builds its scenes on them."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from holdfast.adapters.memory.dead_letters import MemoryDeadLetters
from holdfast.adapters.memory.endpoints import MemoryEndpoints
from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.dead_letters import PostgresDeadLetters
from holdfast.adapters.postgres.endpoints import PostgresEndpoints
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.outbox import PostgresOutbox
from holdfast.domain.attempt import Bury, Claim, Outcome, Park, Refusal, Succeeded
from holdfast.domain.dead_letter import DeadLetter
from holdfast.domain.envelope import Envelope
from holdfast.domain.job import Job, JobState
from holdfast.ports.clock import SystemClock
from holdfast.ports.dead_letters import DeadLetters
from holdfast.ports.endpoints import Endpoints
from holdfast.ports.ledger import Ledger
from holdfast.ports.outbox import Outbox
from ledger_world import FATAL, LEASE, granted, make_job, make_letter, settlement, ticket_of

Age = Callable[[Job, timedelta], Awaitable[None]]
Adapter = Literal["memory", "postgres"]


@dataclass
class Stores:
    """Each scene has a tenant of its own, so that scenes can share one database."""

    ledger: Ledger
    outbox: Outbox
    dead_letters: DeadLetters
    endpoints: Endpoints
    age: Age
    """Makes the job and its outbox rows older by so much: a store tells its own time."""
    tenant: str = field(default_factory=lambda: f"tenant-{secrets.token_hex(4)}")

    @classmethod
    def in_memory(cls) -> Stores:
        memory = MemoryLedger(SystemClock())

        async def age(job: Job, by: timedelta) -> None:
            memory.records[job.id].since -= by
            for key, row in memory.outbox.items():
                if row.job_id == job.id:
                    memory.outbox[key] = replace(row, enqueued_at=row.enqueued_at - by)

        return cls(memory, memory, MemoryDeadLetters(memory), MemoryEndpoints(memory), age)

    @classmethod
    def in_postgres(cls, database: Database) -> Stores:
        async def age(job: Job, by: timedelta) -> None:
            await database.all("UPDATE jobs SET since = since - $2::interval WHERE id = $1", job.id, by)
            await database.all("UPDATE outbox SET created_at = created_at - $2::interval WHERE job_id = $1", job.id, by)

        return cls(
            PostgresLedger(database),
            PostgresOutbox(database),
            PostgresDeadLetters(database),
            PostgresEndpoints(database),
            age,
        )

    def new(self, **changes: Any) -> Job:
        return make_job(**{"tenant": self.tenant} | changes)

    async def accepted(self, **changes: Any) -> Job:
        [job] = await self.ledger.accept([self.new(**changes)])
        return job

    async def claimed(self, job: Job, *, lease: timedelta = LEASE, redelivered: bool = False) -> Claim:
        return granted(await self.ledger.claim(ticket_of(job, redelivered=redelivered), "w1", lease))

    async def claim(self, job: Job, *, redelivered: bool = False) -> Claim | Refusal:
        """What a second worker is told."""
        return await self.ledger.claim(ticket_of(job, redelivered=redelivered), "w2", LEASE)

    async def running(self, *, lease: timedelta = LEASE, **changes: Any) -> Claim:
        return await self.claimed(await self.accepted(**changes), lease=lease)

    async def settled(self, outcome: Outcome, **changes: Any) -> Claim:
        """A job whose first attempt ended in `outcome`."""
        claim = await self.running(**changes)
        await self.ledger.settle(claim, settlement(claim, outcome))
        return claim

    async def in_state(self, state: JobState) -> Job:
        """A job in the state, reached by the ledger's own moves."""

        async def settled(outcome: Outcome) -> Job:
            return (await self.settled(outcome)).job

        async def cancelled() -> Job:
            job = await self.accepted()
            await self.ledger.cancel(self.tenant, job.id)
            return job

        async def running() -> Job:
            return (await self.running()).job

        scenes: dict[JobState, Callable[[], Awaitable[Job]]] = {
            JobState.SCHEDULED: lambda: self.accepted(delay=timedelta(hours=1)),
            JobState.QUEUED: self.accepted,
            JobState.RUNNING: running,
            JobState.WAITING: lambda: settled(Park(timedelta(minutes=9), "busy")),
            JobState.SUCCEEDED: lambda: settled(Succeeded({})),
            JobState.CANCELLED: cancelled,
            JobState.DEAD: lambda: settled(Bury(FATAL)),
        }
        job = await self.now(await scenes[state]())
        assert job.state is state
        return job

    async def died(self, **changes: Any) -> tuple[Job, DeadLetter]:
        """A dead job and its letter."""
        claim = await self.settled(Bury(FATAL), **changes)
        job = await self.now(claim.job)
        letter = make_letter(job)
        await self.dead_letters.archive([letter])
        return job, letter

    async def replayed(self, letter: DeadLetter, priority: int | None = None) -> Envelope:
        """The ticket of a letter's job, which is of no lane."""
        replayed = await self.dead_letters.replay(letter.id, priority)
        assert replayed is not None
        assert replayed.envelope is not None
        return replayed.envelope

    async def now(self, job: Job) -> Job:
        found = await self.ledger.any_job(job.id)
        assert found is not None, f"job {job.id} is gone"
        return found

    async def rows(self, job: Job | None = None) -> list[Envelope]:
        """The outbox rows of the job (or of this scene's tenant's jobs), oldest first."""
        found = await self.outbox.unconfirmed(timedelta(seconds=-5), 100_000)
        return [row for row in found if job is None or row.job_id == job.id]
