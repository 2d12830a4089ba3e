"""API keys. Only a hash is kept: a key is shown once, when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from holdfast.domain.tenancy import Caller, Role


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key, without its secret."""

    id: UUID
    name: str
    tenant: str
    roles: frozenset[Role]
    created_at: datetime
    revoked_at: datetime | None


class Keys(Protocol):
    """The keys that may call the api. Raises LedgerUnavailable when the store does not answer."""

    async def add(self, key_id: UUID, name: str, tenant: str, roles: Sequence[Role], digest: bytes) -> None:
        """Store a key by the SHA-256 of its text (32 bytes)."""
        ...

    async def caller(self, digest: bytes) -> Caller | None:
        """Who owns the key with this hash; None when it is unknown or revoked."""
        ...

    async def all(self) -> list[ApiKey]:
        """Every key, newest first."""
        ...

    async def revoke(self, name: str) -> bool:
        """Revoke the keys of this name; False when none was in force."""
        ...
