"""Endpoints in PostgreSQL. A change is read, made, and written if nobody was faster: `version` tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from holdfast.adapters.postgres import audit, rows
from holdfast.adapters.postgres.database import Database, Row
from holdfast.adapters.postgres.outbox import RETURNING, TICKETS
from holdfast.domain.audit import AuditEntry
from holdfast.domain.endpoint import Endpoint, EndpointState, SigningSecret
from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import LedgerUnavailable

COLUMNS = (
    "id, tenant, url, created_at, since, secrets, description, event_types, headers, state, why, failures, "
    "failing_since, probes, probe_at, version"
)
_VALUES = (
    "$1::uuid, $2, $3, $4::timestamptz, $5::timestamptz, $6::jsonb, $7, $8::text[], $9::jsonb, $10, $11, $12::int, "
    "$13::timestamptz, $14::int, $15::timestamptz, $16::int"
)

ADD = f"""
WITH added AS (INSERT INTO endpoints ({COLUMNS}) VALUES ({_VALUES}) RETURNING id) {audit.audited("added", "$17")}
SELECT id FROM added
"""

CHANGE = f"""
WITH changed AS (
  UPDATE endpoints SET ({COLUMNS}) = ROW({_VALUES}) WHERE id = $1 AND version = $16 - 1 RETURNING id
) {audit.audited("changed", "$17")}
SELECT id FROM changed
"""

LIST = f"""
SELECT {COLUMNS} FROM endpoints
WHERE tenant = $1 AND state <> 'deleted' AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3
"""

EVERY = f"SELECT {COLUMNS} FROM endpoints WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2"

TO_PROBE = f"SELECT {COLUMNS} FROM endpoints WHERE state = 'failing' AND probe_at <= $1 ORDER BY probe_at LIMIT $2"

PARKED = """
SELECT count(*) AS parked FROM (
  SELECT FROM jobs WHERE state = 'waiting' AND parked_by IS NOT NULL AND parked_by = $1 LIMIT $2
) AS jobs
"""

_parked = "SELECT parked_by FROM jobs WHERE state = 'waiting' AND parked_by IS NOT NULL"
UNPARK = f"""
WITH RECURSIVE awaited AS (
  ({_parked} ORDER BY parked_by LIMIT 1)
  UNION ALL
  SELECT ({_parked} AND jobs.parked_by > awaited.parked_by ORDER BY parked_by LIMIT 1)
  FROM awaited WHERE awaited.parked_by IS NOT NULL
), ready AS (
  SELECT job.id FROM awaited JOIN endpoints ON endpoints.id = awaited.parked_by CROSS JOIN LATERAL (
    SELECT id FROM jobs WHERE state = 'waiting' AND jobs.parked_by IS NOT NULL AND jobs.parked_by = endpoints.id
    ORDER BY id LIMIT least($2, $1 * (1 + floor(greatest(0, extract(epoch FROM now() - endpoints.since)))))::bigint
    FOR UPDATE SKIP LOCKED
  ) AS job
  WHERE endpoints.state IN ('enabled', 'deleted')
), moved AS (
  UPDATE jobs SET state = 'queued', since = now(), due_at = NULL, parked_by = NULL, token = token + 1
  FROM ready WHERE jobs.id = ready.id {RETURNING}
) {TICKETS % ""}
"""

TRIES = 50
"""How often a change is made anew because somebody else was faster."""


class PostgresEndpoints:
    """Implements `ports.endpoints.Endpoints`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, endpoint: Endpoint, entry: AuditEntry | None = None) -> None:
        """Insert one row."""
        await self._db.all(ADD, *_values(endpoint), audit.values(entry))

    async def get(self, endpoint_id: UUID) -> Endpoint | None:
        """By the primary key."""
        row = await self._db.one(f"SELECT {COLUMNS} FROM endpoints WHERE id = $1", endpoint_id)
        return row and _endpoint(row)

    async def all(self, tenant: str, before: UUID | None, limit: int) -> list[Endpoint]:
        """By id, which sorts by time."""
        return list(map(_endpoint, await self._db.all(LIST, tenant, before, limit)))

    async def of_all_tenants(self, after: UUID | None, limit: int) -> list[Endpoint]:
        """By id, which is the primary key."""
        return list(map(_endpoint, await self._db.all(EVERY, after, limit)))

    async def change(
        self, endpoint_id: UUID, change: Callable[[Endpoint], Endpoint], entry: AuditEntry | None = None
    ) -> Endpoint | None:
        """Compare and swap by version; what changes nothing writes nothing."""
        for _ in range(TRIES):
            before = await self.get(endpoint_id)
            if before is None:
                return None
            after = change(before)
            if after == before:
                return before
            written = await self._db.one(CHANGE, *_values(after, before.version + 1), audit.values(entry))
            if written is not None:
                return replace(after, version=before.version + 1)
        raise LedgerUnavailable(f"endpoint {endpoint_id} is changed by others all the time; try again")

    async def to_probe(self, now: datetime, limit: int) -> list[Endpoint]:
        """By a partial index over those that are failing."""
        return list(map(_endpoint, await self._db.all(TO_PROBE, now, limit)))

    async def parked(self, endpoint_id: UUID, at_most: int) -> int:
        """Counting stops at `at_most`."""
        row = await self._db.one(PARKED, endpoint_id, at_most)
        return int(row.parked) if row else 0

    async def unpark(self, first: int, most: int) -> list[Envelope]:
        """From one awaited endpoint to the next by the index, so that it costs what is awaited, not what is parked."""
        return list(map(rows.to_envelope, await self._db.all(UNPARK, first, most)))


def _values(endpoint: Endpoint, version: int | None = None) -> Sequence[Any]:
    """In the order of COLUMNS."""
    secrets = [
        {"sealed": it.sealed, "created_at": it.created_at, "expires_at": it.expires_at} for it in endpoint.secrets
    ]
    return (
        endpoint.id,
        endpoint.tenant,
        endpoint.url,
        endpoint.created_at,
        endpoint.since,
        orjson.dumps(secrets).decode(),
        endpoint.description,
        list(endpoint.event_types),
        rows.dump(endpoint.headers),
        endpoint.state.value,
        endpoint.why,
        endpoint.failures,
        endpoint.failing_since,
        endpoint.probes,
        endpoint.probe_at,
        version or endpoint.version,
    )


def _endpoint(row: Row) -> Endpoint:
    return Endpoint(
        id=UUID(str(row.id)),
        tenant=row.tenant,
        url=row.url,
        created_at=row.created_at,
        since=row.since,
        secrets=tuple(
            SigningSecret(it["sealed"], datetime.fromisoformat(it["created_at"]), _time(it["expires_at"]))
            for it in row.secrets
        ),
        description=row.description,
        event_types=tuple(row.event_types),
        headers=row.headers,
        state=EndpointState(row.state),
        why=row.why,
        failures=row.failures,
        failing_since=row.failing_since,
        probes=row.probes,
        probe_at=row.probe_at,
        version=row.version,
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
