"""API keys in PostgreSQL, by the SHA-256 of their text."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from holdfast.adapters.postgres.database import Database
from holdfast.domain.tenancy import Caller, Role
from holdfast.ports.keys import ApiKey


class PostgresKeys:
    """Implements `ports.keys.Keys`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def add(self, key_id: UUID, name: str, tenant: str, roles: Sequence[Role], digest: bytes) -> None:
        """Insert one key."""
        await self._db.all(
            "INSERT INTO api_keys (id, name, tenant, roles, hash) VALUES ($1, $2, $3, $4, $5)",
            key_id,
            name,
            tenant,
            [role.value for role in roles],
            digest,
        )

    async def caller(self, digest: bytes) -> Caller | None:
        """Look the hash up by its unique index: the comparison is over hashes, so its time tells nothing of the key."""
        row = await self._db.one(
            "SELECT tenant, name, roles FROM api_keys WHERE hash = $1 AND revoked_at IS NULL", digest
        )
        return row and Caller(row.tenant, row.name, frozenset(map(Role, row.roles)))

    async def all(self) -> list[ApiKey]:
        """Newest first."""
        found = await self._db.all("SELECT * FROM api_keys ORDER BY id DESC")
        return [
            ApiKey(row.id, row.name, row.tenant, frozenset(map(Role, row.roles)), row.created_at, row.revoked_at)
            for row in found
        ]

    async def revoke(self, name: str) -> bool:
        """Revoke by name."""
        found = await self._db.all(
            "UPDATE api_keys SET revoked_at = now() WHERE name = $1 AND revoked_at IS NULL RETURNING id", name
        )
        return bool(found)
