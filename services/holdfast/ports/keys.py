"""API keys. Only a hash is kept, and a few characters to recognise a key by: it is shown once, when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from holdfast.domain.audit import AuditEntry
from holdfast.domain.tenancy import Caller, Role

LAST_USED_EVERY = timedelta(minutes=1)
"""How exact `last_used_at` is: a key that is used all the time costs one write in so long."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its secret."""

    id: UUID
    name: str
    tenant: str
    roles: frozenset[Role]
    prefix: str | None
    """`hf_` and the six characters after it. None for keys that are older than this."""
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class Keys(Protocol):
    """The keys that may call the api. Raises LedgerUnavailable when the store does not answer."""

    async def add(self, key: ApiKey, digest: bytes, entry: AuditEntry) -> None:
        """Store a key by the SHA-256 of its text (32 bytes), and commit the entry with it."""
        ...

    async def caller(self, digest: bytes) -> Caller | None:
        """Note the use of the key with this hash, and return who owns it; None when it is unknown or not in force."""
        ...

    async def get(self, key_id: UUID) -> ApiKey | None:
        """One key, in force or not."""
        ...

    async def all(self) -> list[ApiKey]:
        """Every key, newest first, revoked ones too."""
        ...

    async def revoke(self, key_id: UUID, entry: AuditEntry) -> ApiKey | None:
        """Revoke the key and commit the entry; None, and no entry, when it is unknown or was revoked before."""
        ...
