"""The ledger, the outbox and the dead letters of one adapter, and how the contract builds its scenes on them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from holdfast.adapters.memory.dead_letters import MemoryDeadLetters
from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.dead_letters import PostgresDeadLetters
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.outbox import PostgresOutbox
from holdfast.domain.attempt import Bury, Claim, Outcome
from holdfast.domain.dead_letter import DeadLetter
from holdfast.domain.envelope import Envelope
from holdfast.domain.job import Job
from holdfast.ports.clock import SystemClock
from holdfast.ports.dead_letters import DeadLetters
from holdfast.ports.ledger import Ledger
from holdfast.ports.outbox import Outbox
from ledger_world import FATAL, LEASE, granted, make_job, make_letter, settlement, ticket_of

Adapter = Literal["memory", "postgres"]


@dataclass
class Stores:
    """Each scene has a tenant of its own, so that scenes can share one database."""

    ledger: Ledger
    outbox: Outbox
    dead_letters: DeadLetters
    tenant: str = field(default_factory=lambda: f"tenant-{secrets.token_hex(4)}")

    @classmethod
    def in_memory(cls) -> Stores:
        memory = MemoryLedger(SystemClock())
        return cls(memory, memory, MemoryDeadLetters(memory))

    @classmethod
    def in_postgres(cls, database: Database) -> Stores:
        return cls(PostgresLedger(database), PostgresOutbox(database), PostgresDeadLetters(database))

    def new(self, **changes: Any) -> Job:
        return make_job(**{"tenant": self.tenant} | changes)

    async def accepted(self, **changes: Any) -> Job:
        [job] = await self.ledger.accept([self.new(**changes)])
        return job

    async def claimed(self, job: Job, *, lease: timedelta = LEASE, redelivered: bool = False) -> Claim:
        return granted(await self.ledger.claim(ticket_of(job, redelivered=redelivered), "w1", lease))

    async def running(self, *, lease: timedelta = LEASE, **changes: Any) -> Claim:
        return await self.claimed(await self.accepted(**changes), lease=lease)

    async def settled(self, outcome: Outcome, **changes: Any) -> Claim:
        """A job whose first attempt ended in `outcome`."""
        claim = await self.running(**changes)
        await self.ledger.settle(claim, settlement(claim, outcome))
        return claim

    async def died(self, **changes: Any) -> tuple[Job, DeadLetter]:
        """A dead job and its letter."""
        claim = await self.settled(Bury(FATAL), **changes)
        job = await self.now(claim.job)
        letter = make_letter(job)
        await self.dead_letters.archive([letter])
        return job, letter

    async def now(self, job: Job) -> Job:
        found = await self.ledger.any_job(job.id)
        assert found is not None, f"job {job.id} is gone"
        return found

    async def rows(self, job: Job | None = None) -> list[Envelope]:
        """The outbox rows of the job (or of this scene's tenant's jobs), oldest first."""
        found = await self.outbox.unconfirmed(timedelta(seconds=-5), 100_000)
        return [row for row in found if job is None or row.job_id == job.id]
