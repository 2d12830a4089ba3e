"""The audit trail in PostgreSQL, and how an action's own statement writes its entry.

    ACTION = f"WITH changed AS (UPDATE … RETURNING …) {audited('changed', '$3')} SELECT * FROM changed"
    await db.one(ACTION, …, values(entry))

The entry is written once for an action that changed something, and not for one that found nothing to change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from holdfast.adapters.postgres.database import Database, Row
from holdfast.adapters.postgres.rows import printable
from holdfast.domain.audit import Actor, AuditAction, AuditEntry, AuditOutcome
from holdfast.domain.tenancy import Role
from holdfast.ports.audit import AuditQuery

COLUMNS = "id, tenant, actor, key_id, role, address, request_id, action, target, reason, details, outcome"

_INSERT = f"""
  INSERT INTO audit ({COLUMNS})
  SELECT {COLUMNS} FROM json_populate_record(NULL::audit, %s::json)
  WHERE id IS NOT NULL AND %s
  ON CONFLICT (id) DO NOTHING
"""
RECORD = _INSERT % ("$1", "true")

END = "UPDATE audit SET outcome = $2, details = $3::json WHERE id = $1 AND outcome = 'begun'"

FIND = """
SELECT * FROM audit
WHERE ($1::text IS NULL OR action = $1) AND ($2::text IS NULL OR outcome = $2)
  AND ($3::text IS NULL OR actor = $3) AND ($4::text IS NULL OR tenant = $4) AND ($5::text IS NULL OR target = $5)
  AND ($6::timestamptz IS NULL OR at >= $6) AND ($7::timestamptz IS NULL OR at < $7)
  AND ($8::uuid IS NULL OR id < $8)
ORDER BY id DESC LIMIT $9
"""


def audited(changed: str, parameter: str) -> str:
    """A further CTE of a statement: the entry in `parameter` (see `values`), if the CTE `changed` has a row."""
    return f", audited AS ({_INSERT % (parameter, f'EXISTS (SELECT FROM {changed})')})"


def values(entry: AuditEntry | None) -> str | None:
    """The parameter of `audited`: the entry as JSON; None where the action is part of another entry."""
    if entry is None:
        return None
    actor = entry.actor
    record = {
        "id": str(entry.id),
        "tenant": actor.tenant,
        "actor": actor.name,
        "key_id": actor.key_id and str(actor.key_id),
        "role": actor.role,
        "address": actor.address,
        "request_id": actor.request_id,
        "action": entry.action,
        "target": entry.target,
        "reason": entry.reason,
        "details": entry.details,
        "outcome": entry.outcome,
    }
    return _dump(record)


class PostgresAudit:
    """Implements `ports.audit.Audit`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def record(self, entry: AuditEntry) -> None:
        """Insert one entry."""
        await self._db.all(RECORD, values(entry))

    async def end(self, entry_id: UUID, outcome: AuditOutcome, details: Mapping[str, Any]) -> None:
        """Only what has begun can end."""
        await self._db.all(END, entry_id, outcome.value, _dump(details))

    async def find(self, query: AuditQuery) -> list[AuditEntry]:
        """By id, which sorts by time."""
        found = await self._db.all(
            FIND,
            query.action and query.action.value,
            query.outcome and query.outcome.value,
            query.actor,
            query.tenant,
            query.target,
            query.since,
            query.until,
            query.before,
            query.limit,
        )
        return list(map(_entry, found))


def _dump(value: Any) -> str:
    """JSON text that Postgres can take apart: it may quote any input, NUL and lone surrogates included."""
    return orjson.dumps(_clean(value), default=str).decode()


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(str(name)): _clean(item) for name, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list | tuple) else value


def _entry(row: Row) -> AuditEntry:
    return AuditEntry(
        id=UUID(str(row.id)),
        actor=Actor(row.tenant, row.actor, Role(row.role), row.key_id, row.address, row.request_id),
        action=AuditAction(row.action),
        target=row.target,
        reason=row.reason,
        details=row.details,
        outcome=AuditOutcome(row.outcome),
        at=row.at,
    )
