"""The outbox in PostgreSQL, and the jobs whose time has come.

A row is named by job id and token: a confirm that comes late never deletes the row of a newer message.

`confirmed` alone does not wait for the disk (`synchronous_commit` is off for its transaction): rows that are there
again after a crash of Postgres are published again, and the claim refuses the second copy. Nothing else may forget: an
accepted job, an outcome, and the fencing token of a claim, which would be given out twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from holdfast.adapters.postgres import rows
from holdfast.adapters.postgres.database import Database
from holdfast.domain.backoff import LONGEST_BROKER_WAIT
from holdfast.domain.envelope import Envelope
from holdfast.domain.lane import UNDER_WAY
from holdfast.domain.topology import JOBS
from holdfast.ports.outbox import LATE

CONFIRMED = """
WITH relaxed AS MATERIALIZED (
  SELECT set_config('synchronous_commit', 'off', true)
), gone AS (
  DELETE FROM outbox USING unnest($1::uuid[], $2::bigint[]) AS sent(job_id, token), relaxed
  WHERE outbox.job_id = sent.job_id AND outbox.token = sent.token
  RETURNING outbox.job_id, outbox.token, outbox.created_at
)
UPDATE jobs SET since = now() FROM gone
WHERE gone.created_at < now() - $3::interval AND jobs.id = gone.job_id AND jobs.token = gone.token
  AND jobs.state IN ('queued', 'waiting')
"""

UNCONFIRMED = """
SELECT outbox.*, jobs.kind, jobs.idempotency_key, jobs.traceparent
FROM outbox JOIN jobs ON jobs.id = outbox.job_id
WHERE outbox.created_at < now() - $1::interval ORDER BY outbox.created_at LIMIT $2
"""

RELEASES = 3
"""How often a release is tried when another was faster; what is left then the steward finds."""

SIZE = "SELECT count(*) AS size FROM (SELECT FROM outbox LIMIT $1::bigint) AS rows"

TICKETS = f"""
, tickets AS (
  INSERT INTO outbox (job_id, token, attempt, exchange, routing_key, priority)
  SELECT id, token, attempt, '{JOBS}', queue, priority FROM moved %s
  RETURNING *
)
SELECT tickets.*, moved.kind, moved.idempotency_key, moved.traceparent
FROM tickets JOIN moved ON moved.id = tickets.job_id
"""
_under_way = ", ".join(f"'{state}'" for state in sorted(UNDER_WAY))
RETURNING = "RETURNING jobs.id, jobs.token, jobs.attempt, jobs.queue, jobs.priority, jobs.kind, \
jobs.idempotency_key, jobs.traceparent"

PROMOTE = f"""
WITH due AS (
  SELECT id FROM jobs WHERE due_at <= now() AND state IN ('scheduled', 'waiting')
  ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
), moved AS (
  UPDATE jobs SET state = 'queued', since = now(), due_at = NULL, parked_by = NULL, token = token + 1
  FROM due WHERE jobs.id = due.id {RETURNING}
) {TICKETS % ""}
"""

RESCUE = f"""
WITH lost AS (
  SELECT id FROM jobs WHERE state = 'running' AND lease_until < now() - $1::interval
  ORDER BY lease_until LIMIT $2 FOR UPDATE SKIP LOCKED
), moved AS (
  UPDATE jobs SET state = 'queued', since = now(), lease_until = NULL, token = token + 1
  FROM lost WHERE jobs.id = lost.id {RETURNING}
) {TICKETS % ""}
"""

RELEASE = f"""
WITH first AS (
  SELECT head.id FROM unnest($1::text[]) AS asked(lane) CROSS JOIN LATERAL (
    SELECT id FROM jobs WHERE jobs.lane = asked.lane AND state = 'blocked' ORDER BY turn LIMIT 1
  ) AS head
  WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.lane = asked.lane AND state IN ({_under_way}))
), moved AS (
  UPDATE jobs SET state = CASE WHEN due_at > now() THEN 'scheduled' ELSE 'queued' END, since = now(),
                  due_at = CASE WHEN due_at > now() THEN due_at END, token = token + 1
  FROM first WHERE jobs.id = first.id AND jobs.state = 'blocked' {RETURNING}, jobs.state
) {TICKETS % "WHERE state = 'queued'"}
"""

STALLED = f"""
WITH RECURSIVE lanes AS (
  (SELECT lane FROM jobs WHERE state = 'blocked' ORDER BY lane LIMIT 1)
  UNION ALL
  SELECT (SELECT lane FROM jobs WHERE state = 'blocked' AND lane > lanes.lane ORDER BY lane LIMIT 1)
  FROM lanes WHERE lanes.lane IS NOT NULL
)
SELECT lane FROM lanes
WHERE lane IS NOT NULL AND NOT EXISTS (SELECT FROM jobs WHERE jobs.lane = lanes.lane AND state IN ({_under_way}))
LIMIT $1
"""

REISSUE = f"""
WITH gone AS (
  SELECT id, state, due_at, since FROM jobs WHERE id = $1 AND attempt = $2 FOR UPDATE
), moved AS (
  UPDATE jobs SET state = 'queued', since = now(), lease_until = NULL, token = token + 1
  FROM gone WHERE jobs.id = gone.id AND gone.due_at IS NULL
    AND (gone.state IN ('queued', 'waiting') OR gone.state = 'running' AND gone.since < $3) {RETURNING}
) {TICKETS % ""}
"""

REPLACE = f"""
WITH lost AS (
  SELECT id FROM jobs
  WHERE due_at IS NULL AND state IN ('queued', 'waiting') AND queue = $1
    AND since < now() - $2::interval - CASE state WHEN 'waiting' THEN $3::interval ELSE interval '0' END
    AND NOT EXISTS (SELECT FROM outbox WHERE outbox.job_id = jobs.id)
  ORDER BY since LIMIT $4 FOR UPDATE SKIP LOCKED
), moved AS (
  UPDATE jobs SET state = 'queued', since = now(), token = token + 1
  FROM lost WHERE jobs.id = lost.id {RETURNING}
) {TICKETS % ""}
"""


class PostgresOutbox:
    """Implements `ports.outbox.Outbox`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def confirmed(self, sent: Sequence[Envelope]) -> None:
        """Delete in the order of the ids, so that two deletions cannot deadlock."""
        ordered = sorted(sent, key=lambda envelope: (envelope.job_id.int, envelope.token))
        await self._db.all(CONFIRMED, [e.job_id for e in ordered], [e.token for e in ordered], LATE)

    async def unconfirmed(self, older_than: timedelta, limit: int) -> list[Envelope]:
        """Oldest first."""
        return list(map(rows.to_envelope, await self._db.all(UNCONFIRMED, older_than, limit)))

    async def size(self, at_most: int) -> int:
        """Counting stops at `at_most`."""
        row = await self._db.one(SIZE, at_most)
        return row.size if row else 0

    async def promote(self, limit: int) -> list[Envelope]:
        """Rows that another transaction holds are left for the next call."""
        return list(map(rows.to_envelope, await self._db.all(PROMOTE, limit)))

    async def rescue(self, grace: timedelta, limit: int) -> list[Envelope]:
        """The new token voids the lost holder, should it come back."""
        return list(map(rows.to_envelope, await self._db.all(RESCUE, grace, limit)))

    async def release(self, lanes: Sequence[str]) -> list[Envelope]:
        """One statement, whose snapshot is newer than what made its caller call.

        Two at once choose the same job, or the unique index `jobs_under_way_ix` stops the one with the older snapshot;
        that one looks again, and in the end lane by lane, so that one of them does not hold up the others.
        """
        for _ in range(RELEASES):
            try:
                return list(map(rows.to_envelope, await self._db.all(RELEASE, sorted(set(lanes)))))
            except asyncpg.UniqueViolationError:
                continue
        if len(lanes) == 1:
            return []
        return [it for lane in lanes for it in await self.release([lane])]

    async def stalled(self, limit: int) -> list[str]:
        """From one lane to the next by the index, so that it costs what lanes there are, not what jobs."""
        return [row.lane for row in await self._db.all(STALLED, limit)]

    async def reissue(self, job_id: UUID, attempt: int, *, lost_by: datetime | None = None) -> Envelope | None:
        """One job's ticket, made anew."""
        row = await self._db.one(REISSUE, job_id, attempt, lost_by)
        return row and rows.to_envelope(row)

    async def replace(self, queue: str, settled_for: timedelta, limit: int) -> list[Envelope]:
        """One statement, under the locks of the jobs' rows: a job that was claimed meanwhile is left alone."""
        found = await self._db.all(REPLACE, queue, settled_for, LONGEST_BROKER_WAIT, limit)
        return list(map(rows.to_envelope, found))
