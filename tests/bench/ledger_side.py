"""A ledger with a past, and the work that is measured on it with the statements that the platform uses.

It is filled by SQL: jobs that succeeded within the last six days, as far apart as they would have been accepted, and an
attempt for each.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.outbox import PostgresOutbox
from holdfast.adapters.postgres.retention import PostgresRetention
from holdfast.domain.attempt import Ask, Claim, Succeeded, Ticket
from holdfast.domain.envelope import first_ticket
from holdfast.domain.job import Job
from holdfast.engine.retain import BATCH
from ledger_world import LEASE, granted, make_job, settlement

TOGETHER = 100
"""Jobs to a statement."""
DAYS = timedelta(days=6)
CHUNK = 100_000
KEPT = timedelta(days=3)
FORGETS = 50
"""Turns of the steward's loop that are measured."""
FILL = """
WITH filled AS (
  INSERT INTO jobs (id, tenant, kind, queue, state, priority, payload, idempotency_key, fingerprint, created_at, since,
                    started_at, finished_at, result, token)
  SELECT uuidv7(age), 'acme', 'webhook.dispatch', 'webhook', 'succeeded', 12,
         '{"url": "https://hooks.example.com/in", "body": {"order": 1}, "event_type": "order.paid"}',
         gen_random_uuid()::text, sha256(number::text::bytea), now() + age, now() + age, now() + age, now() + age,
         '{"status": 204, "elapsed_ms": 35.5, "attempts": 1}', 1
  FROM (SELECT number, -$3::interval * (1 - number::float8 / $4::int) AS age
        FROM generate_series($1::int, $2::int) AS number) AS numbers
  RETURNING id, started_at
)
INSERT INTO attempts (job_id, number, state, worker, started_at, finished_at, detail)
SELECT id, 1, 'succeeded', 'host:1', started_at, started_at, '{"status": 204, "headers": {}, "body": ""}' FROM filled
"""
MAINTAINED = ("jobs", "attempts", "outbox")


class Side:
    """One ledger, and the seconds that it took for a job in each round."""

    def __init__(self, url: str) -> None:
        self.database = Database(url, timeout=600)
        self.ledger, self.outbox = PostgresLedger(self.database), PostgresOutbox(self.database)
        self.enqueued: list[float] = []
        self.settled: list[float] = []

    async def fill(self, jobs: int) -> None:
        """Fill it, and have its statistics and visibility as autovacuum leaves them."""
        for first in range(1, jobs + 1, CHUNK):
            await self.database.all(FILL, first, min(first + CHUNK - 1, jobs), DAYS, jobs)
            print(f"  {min(first + CHUNK - 1, jobs):,} of {jobs:,} jobs", flush=True)
        for table in MAINTAINED:
            await self.database.all(f"VACUUM ANALYZE {table}")

    async def round(self, groups: int) -> None:
        """One round of both kinds of work."""
        batches = [[make_job() for _ in range(TOGETHER)] for _ in range(groups)]
        self.enqueued.append(await _timed(self._enqueue, batches))
        self.settled.append(await _timed(self._settle, batches))

    async def _enqueue(self, jobs: list[Job]) -> None:
        await self.ledger.accept(jobs)
        await self.outbox.confirmed([first_ticket(job, job.created_at) for job in jobs])

    async def _settle(self, jobs: list[Job]) -> None:
        answers = await self.ledger.claim_all([Ask(Ticket(job.id, 1), "host:1", LEASE) for job in jobs])
        claims: list[Claim] = [granted(answer) for answer in answers]
        written = await self.ledger.settle_all([(claim, settlement(claim, Succeeded({"n": 1}))) for claim in claims])
        if not all(written):
            raise RuntimeError("an outcome was not written")

    async def forget(self) -> float:
        """Seconds that it takes to forget a job."""
        retention, began, gone = PostgresRetention(self.database), time.perf_counter(), 0
        for _ in range(FORGETS):
            gone += await retention.forget(await retention.expired(KEPT, KEPT, BATCH))
        return (time.perf_counter() - began) / gone

    async def updates(self) -> str:
        """How many of the updates of each table needed no index entry (heap-only tuples)."""
        await self.database.all("SELECT pg_stat_force_next_flush()")
        found = await self.database.all(
            "SELECT relname, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = ANY($1)", MAINTAINED
        )
        return ", ".join(f"{row.relname} {row.n_tup_hot_upd} of {row.n_tup_upd}" for row in found if row.n_tup_upd)


async def _timed(work: Callable[[list[Job]], Awaitable[None]], batches: list[list[Job]]) -> float:
    began = time.perf_counter()
    for batch in batches:
        await work(batch)
    return (time.perf_counter() - began) / sum(map(len, batches))
