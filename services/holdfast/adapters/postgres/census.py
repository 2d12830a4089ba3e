"""The census of the ledger: one statement over partial indexes, so that it costs what is open, not what there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from holdfast.adapters.postgres.database import Database
from holdfast.domain.backoff import LONGEST_BROKER_WAIT
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.job import JobState
from holdfast.domain.topology import WORK
from holdfast.ports.census import Bulkhead, LedgerCount, Place

COUNT = """
SELECT 'lane' AS place, queue, state, count(*) AS jobs, 0 AS settled
FROM jobs WHERE state = 'blocked' GROUP BY queue, state
UNION ALL
SELECT 'timer' AS place, queue, state, count(*) AS jobs, 0 AS settled
FROM jobs WHERE due_at IS NOT NULL AND state IN ('scheduled', 'waiting') GROUP BY queue, state
UNION ALL
SELECT CASE WHEN lease_until < now() THEN 'rescue' ELSE 'lease' END AS place, queue, state, count(*),
       count(*) FILTER (WHERE since < now() - $1::interval)
FROM jobs WHERE state = 'running' AND lease_until IS NOT NULL GROUP BY place, queue, state
UNION ALL
SELECT CASE WHEN unsent.job_id IS NULL THEN 'broker' ELSE 'outbox' END AS place, queue, state, count(*),
       count(*) FILTER (WHERE unsent.job_id IS NULL AND since < now() - $1::interval
                        - CASE state WHEN 'waiting' THEN $2::interval ELSE interval '0' END)
FROM jobs LEFT JOIN (SELECT DISTINCT job_id FROM outbox) AS unsent ON unsent.job_id = jobs.id
WHERE due_at IS NULL AND state IN ('queued', 'waiting') GROUP BY place, queue, state
UNION ALL
SELECT 'dead', NULL, state, count(*), 0 FROM jobs WHERE state = 'dead' GROUP BY state
UNION ALL
SELECT 'letters', reason, NULL, count(*), (1000 * extract(epoch FROM now() - min(died_at)))::bigint
FROM dead_letters WHERE replayed_at IS NULL AND dropped_at IS NULL GROUP BY reason
UNION ALL
SELECT 'rows', NULL, NULL, count(*), coalesce(1000 * extract(epoch FROM now() - min(created_at)), 0)::bigint FROM outbox
"""

UNKNOWN = """
SELECT asked.id FROM unnest($1::uuid[]) AS asked(id) WHERE NOT EXISTS (SELECT FROM jobs WHERE jobs.id = asked.id)
"""


class PostgresCensus:
    """Implements `ports.census.LedgerCensus`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def count(self, settled_for: timedelta) -> LedgerCount:
        """Put the rows of COUNT where they belong."""
        states = dict.fromkeys((state for state in JobState if state not in _UNCOUNTED), 0)
        places = dict.fromkeys(Place, 0)
        letters: dict[DeadReason, int] = {}
        home, running = Counter[str](), Counter[str]()
        outbox_rows, outbox_oldest, oldest_letter = 0, timedelta(0), timedelta(0)
        for row in await self._db.all(COUNT, settled_for, LONGEST_BROKER_WAIT):
            match row.place:
                case "rows":
                    outbox_rows, outbox_oldest = row.jobs, timedelta(milliseconds=max(row.settled, 0))
                case "letters":
                    letters[DeadReason(row.queue)] = row.jobs
                    oldest_letter = max(oldest_letter, timedelta(milliseconds=row.settled))
                case "dead":
                    states[JobState.DEAD] += row.jobs
                case _:
                    states[JobState(row.state)] += row.jobs
                    places[Place(row.place)] += row.jobs
                    (running if row.state == JobState.RUNNING else home)[row.queue] += row.settled
        bulkheads = {queue: Bulkhead(home[queue], running[queue]) for queue in WORK}
        return LedgerCount(states, places, bulkheads, outbox_rows, outbox_oldest, letters, oldest_letter)

    async def unknown(self, job_ids: Sequence[UUID]) -> set[UUID]:
        """One statement."""
        return {UUID(str(row.id)) for row in await self._db.all(UNKNOWN, list(job_ids))}

    async def version(self) -> str:
        """The server's version: `18.1`."""
        row = await self._db.one("SELECT current_setting('server_version') AS version")
        return str(row.version).partition(" ")[0] if row else "unknown"


_UNCOUNTED = frozenset({JobState.SUCCEEDED, JobState.CANCELLED})
