"""What has just happened, from the rows themselves.

Attempts are found by a BRIN index on the time of their end: rows that ended together lie together, the index is a few
kilobytes, and, unlike a B-tree, it leaves updates of an attempt heap-only (PostgreSQL 16 and later). Accepted jobs
are found by their ids, which are UUIDv7.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from holdfast.adapters.postgres.database import Database
from holdfast.domain.attempt import AttemptState
from holdfast.domain.job import job_id
from holdfast.ports.activity import Activity, KindActivity, Percentiles, Waiting

_PERCENTILES = "percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY"

ENDED = f"""
WITH ended AS (
  SELECT jobs.kind, attempts.state,
         attempts.state = 'failed' AND jobs.state = 'dead' AND attempts.number = jobs.attempt AS last,
         extract(epoch FROM attempts.finished_at - attempts.started_at)::float8 AS run,
         CASE attempts.state WHEN 'succeeded' THEN extract(epoch FROM jobs.finished_at - jobs.created_at)::float8 END
           AS latency
  FROM attempts JOIN jobs ON jobs.id = attempts.job_id
  WHERE attempts.finished_at > now() - $1::interval AND attempts.state <> 'running'
)
SELECT kind, state, count(*) AS attempts, count(*) FILTER (WHERE last) AS dead,
       {_PERCENTILES} run) AS run, {_PERCENTILES} latency) AS latency
FROM ended GROUP BY GROUPING SETS ((kind), (kind, state)) ORDER BY kind, state NULLS FIRST
"""

ACCEPTED = "SELECT count(*) AS jobs FROM jobs WHERE id >= $1"

WAITING = """
SELECT queue, priority, count(*) AS jobs, greatest(now() - min(since), interval '0') AS oldest
FROM jobs WHERE due_at IS NULL AND state = 'queued' GROUP BY queue, priority ORDER BY queue, priority DESC
"""


class PostgresRecent:
    """Implements `ports.activity.Recent`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def activity(self, window: timedelta) -> Activity:
        """Two statements, so `accepted` and the rest are of moments that are a round trip apart."""
        oldest = job_id(int((time.time() - window.total_seconds()) * 1000), bytes(10))
        accepted = await self._db.one(ACCEPTED, oldest)
        totals, states = {}, dict[str, dict[AttemptState, int]]()
        for row in await self._db.all(ENDED, window):
            if row.state is None:
                totals[row.kind] = row
            else:
                states.setdefault(row.kind, _none()).update({AttemptState(row.state): row.attempts})
        kinds = [
            KindActivity(kind, states[kind], row.dead, _percentiles(row.run), _percentiles(row.latency))
            for kind, row in totals.items()
        ]
        return Activity(window, accepted.jobs if accepted else 0, kinds)

    async def waiting(self) -> Sequence[Waiting]:
        """Over the index of ticketed jobs."""
        return [Waiting(row.queue, row.priority, row.jobs, row.oldest) for row in await self._db.all(WAITING)]


def _none() -> dict[AttemptState, int]:
    return {state: 0 for state in AttemptState if state is not AttemptState.RUNNING}


def _percentiles(values: Sequence[float] | None) -> Percentiles | None:
    return Percentiles(*values) if values else None
