"""Forgetting in PostgreSQL, in small statements.

No index on `finished_at` is needed: a job's id is a UUIDv7, so the primary key sorts by the time of acceptance, and
nothing that was accepted within the shorter time can be due. The first pages of that index are what is left to do.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from holdfast.adapters.postgres.database import Database
from holdfast.domain.job import job_id

EXPIRED = """
SELECT id FROM jobs
WHERE id < $1 AND (
  state IN ('succeeded', 'cancelled') AND finished_at < now() - $2::interval
  OR state = 'dead' AND finished_at < now() - $3::interval AND NOT EXISTS (
    SELECT FROM dead_letters WHERE dead_letters.job_id = jobs.id AND replayed_at IS NULL AND dropped_at IS NULL
  )
)
ORDER BY id LIMIT $4
"""

FORGET = """
WITH gone AS (
  DELETE FROM jobs WHERE id = ANY($1::uuid[]) AND state IN ('succeeded', 'cancelled', 'dead') RETURNING id
), unsent AS (
  DELETE FROM outbox USING gone WHERE outbox.job_id = gone.id
)
SELECT id FROM gone
"""

FORGET_LETTERS = """
DELETE FROM dead_letters WHERE id IN (
  SELECT id FROM dead_letters WHERE coalesce(replayed_at, dropped_at) < now() - $1::interval LIMIT $2
) RETURNING id
"""


class PostgresRetention:
    """Implements `ports.retention.Retention`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def expired(self, succeeded: timedelta, dead: timedelta, limit: int) -> list[UUID]:
        """By id, which sorts by acceptance."""
        newest = job_id(int((time.time() - min(succeeded, dead).total_seconds()) * 1000), bytes(10))
        return [UUID(str(row.id)) for row in await self._db.all(EXPIRED, newest, succeeded, dead, limit)]

    async def forget(self, job_ids: Sequence[UUID]) -> int:
        """Attempts go with their job, by the foreign key."""
        return len(await self._db.all(FORGET, list(job_ids)))

    async def forget_letters(self, dead: timedelta, limit: int) -> int:
        """In no order."""
        return len(await self._db.all(FORGET_LETTERS, dead, limit))
