"""The audit trail: who did what, and why.

Promises and errors are those of `ports.ledger`. What an action inside the ledger did is written by the port of that
action, which takes the entry and commits both together (`DeadLetters.replay`, `Keys.add` and their like).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from holdfast.domain.audit import AuditAction, AuditEntry, AuditOutcome


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Which entries, newest first; every condition must hold. `before` is the id after which the page starts."""

    action: AuditAction | None = None
    outcome: AuditOutcome | None = None
    actor: str | None = None
    """The name of a key, or of the person on the server's command line."""
    tenant: str | None = None
    """The actor's."""
    target: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: UUID | None = None
    limit: int = 50


class Audit(Protocol):
    """The entries. They are kept for ever: nothing in Holdfast removes one."""

    async def record(self, entry: AuditEntry) -> None:
        """Insert the entry at the present time; one whose id is there already is dropped."""
        ...

    async def end(self, entry_id: UUID, outcome: AuditOutcome, details: Mapping[str, Any]) -> None:
        """Say how a BEGUN entry ended; `details` replace those that it had. One that has ended keeps its end."""
        ...

    async def find(self, query: AuditQuery) -> list[AuditEntry]:
        """At most `query.limit` entries, newest id first."""
        ...
