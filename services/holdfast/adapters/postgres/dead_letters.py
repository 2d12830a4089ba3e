"""The dead-letter archive in PostgreSQL.

A letter is named by its job and attempt as well as by its own id: the broker delivers at least once, so the
second copy of a message finds its place taken and is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from holdfast.adapters.postgres import audit, rows
from holdfast.adapters.postgres.database import Database
from holdfast.domain.audit import AuditEntry
from holdfast.domain.dead_letter import DeadLetter, DeadLetterGroup, DeadReason
from holdfast.domain.topology import JOBS
from holdfast.ports.dead_letters import DeadLetterQuery, Replayed

ARCHIVE = """
INSERT INTO dead_letters (id, job_id, attempt, tenant, kind, reason, error, message, attempts, headers, body,
                          fingerprint, died_at)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::int[], $10::json[], $11::bytea[], $12::text[], $13::timestamptz[])
ON CONFLICT DO NOTHING
"""

MATCHING = """
FROM dead_letters
WHERE ($1::text IS NULL OR tenant = $1) AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR reason = $3)
  AND ($4::text IS NULL OR strpos(lower(error || ' ' || message), lower($4)) > 0)
  AND ($5::timestamptz IS NULL OR died_at >= $5) AND ($6::timestamptz IS NULL OR died_at < $6)
  AND ($7 OR replayed_at IS NULL AND dropped_at IS NULL) AND ($8::uuid IS NULL OR id < $8)
  AND ($10::text IS NULL OR fingerprint = $10)
  AND (NOT $9 OR EXISTS (
    SELECT FROM jobs
    WHERE jobs.id = dead_letters.job_id AND jobs.attempt = dead_letters.attempt AND jobs.state = 'dead'
  ))
"""
FIND_NEWEST = f"SELECT * {MATCHING} ORDER BY id DESC LIMIT $11"
FIND_OLDEST = f"SELECT * {MATCHING} ORDER BY id LIMIT $11"
GROUPS = f"""
SELECT fingerprint, count(*) AS count, min(died_at) AS first_seen, max(died_at) AS last_seen,
       (array_agg(kind ORDER BY id DESC))[1] AS kind, (array_agg(reason ORDER BY id DESC))[1] AS reason,
       (array_agg(error ORDER BY id DESC))[1] AS error, (array_agg(message ORDER BY id DESC))[1] AS message
{MATCHING} GROUP BY fingerprint ORDER BY count DESC, fingerprint LIMIT $11
"""
COUNT = f"SELECT count(*) AS found {MATCHING}"

REPLAY = f"""
WITH letter AS (
  SELECT id, job_id, attempt FROM dead_letters
  WHERE id = $1 AND replayed_at IS NULL AND dropped_at IS NULL FOR UPDATE
), moved AS (
  UPDATE jobs SET state = CASE WHEN lane IS NULL THEN 'queued' ELSE 'blocked' END, since = now(),
                  turn = CASE WHEN lane IS NOT NULL THEN nextval('jobs_turn_seq') END,
                  attempt = jobs.attempt + 1, spent_before = jobs.attempt,
                  token = jobs.token + 1, traceparent = coalesce($4, jobs.traceparent),
                  priority = coalesce($2, jobs.priority), failure = NULL, finished_at = NULL, deadline = NULL
  FROM letter WHERE jobs.id = letter.job_id AND jobs.attempt = letter.attempt AND jobs.state = 'dead'
  RETURNING jobs.*
), marked AS (
  UPDATE dead_letters SET replayed_at = now() FROM letter, moved
  WHERE dead_letters.id = letter.id AND moved.id = letter.job_id
), tickets AS (
  INSERT INTO outbox (job_id, token, attempt, exchange, routing_key, priority)
  SELECT id, token, attempt, '{JOBS}', queue, priority FROM moved WHERE state = 'queued'
  RETURNING *
) {audit.audited("moved", "$3")}
SELECT tickets.*, moved.kind, moved.idempotency_key, moved.traceparent, moved.lane
FROM moved LEFT JOIN tickets ON tickets.job_id = moved.id
"""

DROP = f"""
WITH dropped AS (
  UPDATE dead_letters SET dropped_at = now(), dropped_by = $2, drop_reason = $3
  WHERE id = $1 AND replayed_at IS NULL AND dropped_at IS NULL RETURNING *
) {audit.audited("dropped", "$4")}
SELECT * FROM dropped
"""


class PostgresDeadLetters:
    """Implements `ports.dead_letters.DeadLetters`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def archive(self, letters: Sequence[DeadLetter]) -> None:
        """One statement for all of them."""
        await self._db.all(
            ARCHIVE,
            [letter.id for letter in letters],
            [letter.job_id for letter in letters],
            [letter.attempt for letter in letters],
            [letter.tenant for letter in letters],
            [letter.kind for letter in letters],
            [letter.reason.value for letter in letters],
            [rows.printable(letter.error) for letter in letters],
            [rows.printable(letter.message) for letter in letters],
            [letter.attempts for letter in letters],
            [rows.dump(letter.headers) for letter in letters],
            [letter.body for letter in letters],
            [letter.fingerprint for letter in letters],
            [letter.died_at for letter in letters],
        )

    async def find(self, query: DeadLetterQuery) -> list[DeadLetter]:
        """By id, which sorts by time."""
        statement = FIND_OLDEST if query.oldest_first else FIND_NEWEST
        return list(map(rows.to_dead_letter, await self._db.all(statement, *_conditions(query), query.limit)))

    async def groups(self, query: DeadLetterQuery) -> list[DeadLetterGroup]:
        """One row for each fingerprint."""
        found = await self._db.all(GROUPS, *_conditions(query), query.limit)
        return [
            DeadLetterGroup(
                row.fingerprint,
                row.kind,
                DeadReason(row.reason),
                row.error,
                row.message,
                row["count"],
                row.first_seen,
                row.last_seen,
            )
            for row in found
        ]

    async def count(self, query: DeadLetterQuery) -> int:
        """All that match."""
        row = await self._db.one(COUNT, *_conditions(query))
        return int(row.found) if row else 0

    async def get(self, letter_id: UUID) -> DeadLetter | None:
        """One letter by its id."""
        row = await self._db.one("SELECT * FROM dead_letters WHERE id = $1", letter_id)
        return row and rows.to_dead_letter(row)

    async def replay(
        self, letter_id: UUID, priority: int | None, entry: AuditEntry | None = None, traceparent: str | None = None
    ) -> Replayed | None:
        """One transaction marks the letter, revives the job and writes its ticket."""
        row = await self._db.one(REPLAY, letter_id, priority, audit.values(entry), traceparent)
        return row and Replayed(rows.to_envelope(row) if row.job_id else None, row.lane)

    async def drop(self, letter_id: UUID, by: str, why: str, entry: AuditEntry | None = None) -> DeadLetter | None:
        """The row stays, with who and why."""
        row = await self._db.one(DROP, letter_id, by, why, audit.values(entry))
        return row and rows.to_dead_letter(row)


def _conditions(query: DeadLetterQuery) -> tuple[object, ...]:
    """The parameters of MATCHING."""
    return (
        query.tenant,
        query.kind,
        query.reason and query.reason.value,
        query.error,
        query.since,
        query.until,
        query.settled,
        query.before,
        query.replayable,
        query.fingerprint,
    )
