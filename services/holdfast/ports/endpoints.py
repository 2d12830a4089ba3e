"""The endpoints of webhooks, and the jobs that wait for one. Promises and errors are those of `ports.ledger`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol
from uuid import UUID

from holdfast.domain.audit import AuditEntry
from holdfast.domain.endpoint import Endpoint
from holdfast.domain.envelope import Envelope


class Endpoints(Protocol):
    """Every endpoint there ever was: a deleted one stays, so that its jobs can say what became of it."""

    async def add(self, endpoint: Endpoint, entry: AuditEntry | None = None) -> None:
        """Store a new one, and the audit entry with it."""
        ...

    async def get(self, endpoint_id: UUID) -> Endpoint | None:
        """One, of whatever tenant, deleted or not."""
        ...

    async def all(self, tenant: str, before: UUID | None, limit: int) -> list[Endpoint]:
        """Those of a tenant that are not deleted, newest id first, before the id."""
        ...

    async def of_all_tenants(self, after: UUID | None, limit: int) -> list[Endpoint]:
        """Deleted ones too, by id, after the id: for the platform itself, never for a caller."""
        ...

    async def change(
        self, endpoint_id: UUID, change: Callable[[Endpoint], Endpoint], entry: AuditEntry | None = None
    ) -> Endpoint | None:
        """Put `change` of an endpoint in its place, and return it; None when there is none.

        `change` may be called again when somebody else was faster, so that no change is lost. The audit entry is
        written when anything changed.
        """
        ...

    async def to_probe(self, now: datetime, limit: int) -> list[Endpoint]:
        """FAILING ones whose time for a probe has come, the longest due first."""
        ...

    async def parked(self, endpoint_id: UUID, at_most: int) -> int:
        """How many jobs wait for the endpoint, counted up to `at_most`."""
        ...

    async def unpark(self, first: int, most: int) -> list[Envelope]:
        """Queue jobs whose endpoint is ENABLED again, or DELETED; return their (already written) envelopes.

        In a ramp: of each endpoint at most `first` in the second in which it came into its state, twice as many in the
        next second, three times as many in the third, never more than `most`.
        """
        ...
