"""The audit trail in a dictionary; held against the same tests as the Postgres adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from holdfast.domain.audit import AuditEntry, AuditOutcome
from holdfast.ports.audit import AuditQuery
from holdfast.ports.clock import Clock


class MemoryAudit:
    """Implements `ports.audit.Audit`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.entries: dict[UUID, AuditEntry] = {}

    async def record(self, entry: AuditEntry) -> None:
        """Keep the first of an id."""
        self.keep(entry)

    def keep(self, entry: AuditEntry | None) -> None:
        """What the other adapters in memory do with the entry of their action."""
        if entry is not None:
            self.entries.setdefault(entry.id, replace(entry, at=self._clock.now()))

    async def end(self, entry_id: UUID, outcome: AuditOutcome, details: Mapping[str, Any]) -> None:
        """Only what has begun can end."""
        entry = self.entries.get(entry_id)
        if entry is not None and entry.outcome is AuditOutcome.BEGUN:
            self.entries[entry_id] = replace(entry, outcome=outcome, details=dict(details))

    async def find(self, query: AuditQuery) -> list[AuditEntry]:
        """Newest first."""
        found = [entry for entry in self.entries.values() if _matches(entry, query)]
        return sorted(found, key=lambda entry: entry.id, reverse=True)[: query.limit]


def _matches(entry: AuditEntry, query: AuditQuery) -> bool:
    return (
        query.action in {None, entry.action}
        and query.outcome in {None, entry.outcome}
        and query.actor in {None, entry.actor.name}
        and query.tenant in {None, entry.actor.tenant}
        and query.target in {None, entry.target}
        and (query.since is None or (entry.at is not None and entry.at >= query.since))
        and (query.until is None or (entry.at is not None and entry.at < query.until))
        and (query.before is None or entry.id < query.before)
    )
