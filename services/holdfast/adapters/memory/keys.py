"""API keys in a dictionary; held against the same tests as the Postgres adapter."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from holdfast.adapters.memory.audit import MemoryAudit
from holdfast.domain.audit import AuditEntry
from holdfast.domain.tenancy import Caller
from holdfast.ports.clock import Clock
from holdfast.ports.keys import LAST_USED_EVERY, ApiKey


class MemoryKeys:
    """Implements `ports.keys.Keys`."""

    def __init__(self, clock: Clock, audit: MemoryAudit) -> None:
        self._clock, self._audit = clock, audit
        self.keys: dict[UUID, ApiKey] = {}
        self._digests: dict[bytes, UUID] = {}

    async def add(self, key: ApiKey, digest: bytes, entry: AuditEntry) -> None:
        """Keep one key."""
        self.keys[key.id] = key
        self._digests[digest] = key.id
        self._audit.keep(entry)

    async def caller(self, digest: bytes) -> Caller | None:
        """By digest."""
        key, now = self.keys.get(self._digests.get(digest, UUID(int=0))), self._clock.now()
        if key is None or not key.in_force(now):
            return None
        if key.last_used_at is None or key.last_used_at < now - LAST_USED_EVERY:
            self.keys[key.id] = replace(key, last_used_at=now)
        return Caller(key.tenant, key.name, key.roles, key.id)

    async def get(self, key_id: UUID) -> ApiKey | None:
        """One key by its id."""
        return self.keys.get(key_id)

    async def all(self) -> list[ApiKey]:
        """Newest first."""
        return sorted(self.keys.values(), key=lambda key: key.id, reverse=True)

    async def revoke(self, key_id: UUID, entry: AuditEntry) -> ApiKey | None:
        """The key stays."""
        key = self.keys.get(key_id)
        if key is None or key.revoked_at is not None:
            return None
        self.keys[key_id] = replace(key, revoked_at=self._clock.now())
        self._audit.keep(entry)
        return self.keys[key_id]
