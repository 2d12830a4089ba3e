"""Make and revoke API keys, over HTTP and on the server alike.

The text of a key leaves `issue` once and is kept nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from holdfast.domain.audit import Actor, AuditAction, AuditEntry
from holdfast.domain.errors import InvalidField
from holdfast.domain.tenancy import Role, key_digest, key_prefix, new_key
from holdfast.ports.clock import Clock
from holdfast.ports.keys import ApiKey, Keys


class IssueKeys:
    """The life of a key: issued, in force, revoked or past its time."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys, self._clock = keys, clock

    async def issue(
        self,
        actor: Actor,
        name: str,
        tenant: str,
        roles: Sequence[Role],
        expires_at: datetime | None = None,
        reason: str | None = None,
    ) -> tuple[ApiKey, str]:
        """Return a new key and its text. Raise InvalidField when it would be past its time already."""
        now = self._clock.now()
        if expires_at is not None and expires_at <= now:
            raise InvalidField([("/expires_at", "must lie in the future, or be left out for a key without an end")])
        text = new_key()
        key = ApiKey(
            self._clock.new_id(),
            name,
            tenant,
            frozenset(roles),
            key_prefix(text),
            created_at=now,
            expires_at=expires_at,
        )
        details = {"tenant": tenant, "roles": sorted(key.roles), "prefix": key.prefix, "expires_at": expires_at}
        await self._keys.add(key, key_digest(text), self._entry(actor, AuditAction.KEY_CREATE, key, reason, details))
        return key, text

    async def revoke(self, actor: Actor, key: ApiKey, reason: str | None = None) -> ApiKey | None:
        """Revoke a key; None when somebody did so before. The api notices within its cache time."""
        details = {"tenant": key.tenant, "prefix": key.prefix}
        return await self._keys.revoke(key.id, self._entry(actor, AuditAction.KEY_REVOKE, key, reason, details))

    async def named(self, name: str) -> list[ApiKey]:
        """The keys in force of this name or id: names need not be unique."""
        now = self._clock.now()
        return [key for key in await self._keys.all() if name in {key.name, str(key.id)} and key.in_force(now)]

    def _entry(
        self, actor: Actor, action: AuditAction, key: ApiKey, reason: str | None, details: Mapping[str, object]
    ) -> AuditEntry:
        return AuditEntry(self._clock.new_id(), actor, action, str(key.id), reason, {"name": key.name, **details})
