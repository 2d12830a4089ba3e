"""API keys in PostgreSQL, by the SHA-256 of their text.

A key is found by an index over digests. How long that takes may tell how much of a *digest* agrees with one that is
stored; to use that, a guesser would have to choose digests, hence invert SHA-256. So no comparison here has to be
constant in time, and none ever touches the text of a key.
"""

from __future__ import annotations

from uuid import UUID

from holdfast.adapters.postgres import audit
from holdfast.adapters.postgres.database import Database, Row
from holdfast.domain.audit import AuditEntry
from holdfast.domain.tenancy import Caller, Role
from holdfast.ports.keys import LAST_USED_EVERY, ApiKey

ADD = f"""
WITH added AS (
  INSERT INTO api_keys (id, name, tenant, roles, hash, prefix, created_at, expires_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id
) {audit.audited("added", "$9")}
SELECT id FROM added
"""

CALLER = """
WITH found AS (
  SELECT id, tenant, name, roles, last_used_at FROM api_keys
  WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
), noted AS (
  UPDATE api_keys SET last_used_at = now() FROM found
  WHERE api_keys.id = found.id AND (found.last_used_at IS NULL OR found.last_used_at < now() - $2::interval)
)
SELECT * FROM found
"""

REVOKE = f"""
WITH revoked AS (
  UPDATE api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL RETURNING *
) {audit.audited("revoked", "$2")}
SELECT * FROM revoked
"""


class PostgresKeys:
    """Implements `ports.keys.Keys`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, key: ApiKey, digest: bytes, entry: AuditEntry) -> None:
        """Insert one key."""
        await self._db.all(
            ADD,
            key.id,
            key.name,
            key.tenant,
            sorted(role.value for role in key.roles),
            digest,
            key.prefix,
            key.created_at,
            key.expires_at,
            audit.values(entry),
        )

    async def caller(self, digest: bytes) -> Caller | None:
        """One index look-up, and at most one write a minute."""
        row = await self._db.one(CALLER, digest, LAST_USED_EVERY)
        return row and Caller(row.tenant, row.name, frozenset(map(Role, row.roles)), UUID(str(row.id)))

    async def get(self, key_id: UUID) -> ApiKey | None:
        """One key by its id."""
        row = await self._db.one("SELECT * FROM api_keys WHERE id = $1", key_id)
        return row and _key(row)

    async def all(self) -> list[ApiKey]:
        """Newest first."""
        return list(map(_key, await self._db.all("SELECT * FROM api_keys ORDER BY id DESC")))

    async def revoke(self, key_id: UUID, entry: AuditEntry) -> ApiKey | None:
        """The row stays."""
        row = await self._db.one(REVOKE, key_id, audit.values(entry))
        return row and _key(row)


def _key(row: Row) -> ApiKey:
    return ApiKey(
        id=UUID(str(row.id)),
        name=row.name,
        tenant=row.tenant,
        roles=frozenset(map(Role, row.roles)),
        prefix=row.prefix,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
