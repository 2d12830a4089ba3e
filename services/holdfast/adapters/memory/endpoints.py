"""The endpoints in a dictionary, over the ledger in memory; held against the same tests as the Postgres adapter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from holdfast.adapters.memory.ledger import MemoryLedger, Record
from holdfast.domain.audit import AuditEntry
from holdfast.domain.endpoint import Endpoint, EndpointState
from holdfast.domain.envelope import Envelope
from holdfast.domain.job import JobState


class MemoryEndpoints:
    """Implements `ports.endpoints.Endpoints` over a MemoryLedger."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger
        self.kept: dict[UUID, Endpoint] = {}

    async def add(self, endpoint: Endpoint, entry: AuditEntry | None = None) -> None:
        """Keep one."""
        self.kept[endpoint.id] = endpoint
        self._ledger.audit.keep(entry)

    async def get(self, endpoint_id: UUID) -> Endpoint | None:
        """One by its id."""
        return self.kept.get(endpoint_id)

    async def all(self, tenant: str, before: UUID | None, limit: int) -> list[Endpoint]:
        """Newest first."""
        found = [
            it
            for it in self.kept.values()
            if it.tenant == tenant and it.state is not EndpointState.DELETED and (before is None or it.id < before)
        ]
        return sorted(found, key=lambda endpoint: endpoint.id, reverse=True)[:limit]

    async def of_all_tenants(self, after: UUID | None, limit: int) -> list[Endpoint]:
        """By id."""
        found = [it for it in self.kept.values() if after is None or it.id > after]
        return sorted(found, key=lambda endpoint: endpoint.id)[:limit]

    async def change(
        self, endpoint_id: UUID, change: Callable[[Endpoint], Endpoint], entry: AuditEntry | None = None
    ) -> Endpoint | None:
        """Nobody can be faster."""
        before = self.kept.get(endpoint_id)
        if before is None:
            return None
        after = change(before)
        if after != before:
            self.kept[endpoint_id] = after = replace(after, version=before.version + 1)
            self._ledger.audit.keep(entry)
        return after

    async def to_probe(self, now: datetime, limit: int) -> list[Endpoint]:
        """The longest due first."""
        due = [
            (it.probe_at, it)
            for it in self.kept.values()
            if it.state is EndpointState.FAILING and it.probe_at is not None and it.probe_at <= now
        ]
        return [endpoint for _, endpoint in sorted(due, key=lambda pair: pair[0])][:limit]

    async def parked(self, endpoint_id: UUID, at_most: int) -> int:
        """Up to `at_most`."""
        return min(len(self._waiting_for(endpoint_id)), at_most)

    async def unpark(self, first: int, most: int) -> list[Envelope]:
        """In a ramp, the oldest jobs first."""
        tickets = []
        for endpoint in self.kept.values():
            if endpoint.state in {EndpointState.ENABLED, EndpointState.DELETED}:
                seconds = max(0, int((self._ledger.clock.now() - endpoint.since).total_seconds()))
                ready = self._waiting_for(endpoint.id)[: min(most, first * (1 + seconds))]
                tickets += [self._ledger.requeue(record) for record in ready]
        return tickets

    def _waiting_for(self, endpoint_id: UUID) -> list[Record]:
        records = self._ledger.records.values()
        found = [it for it in records if it.job.state is JobState.WAITING and it.job.parked_by == endpoint_id]
        return sorted(found, key=lambda record: record.job.id)
