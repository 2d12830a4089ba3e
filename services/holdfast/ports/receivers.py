"""What a handler knows of the endpoints of its tenant: read when a webhook is delivered, told what became of it.

Promise: an edit of an endpoint counts for every delivery that begins a second later, in every process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol
from uuid import UUID

from holdfast.domain.endpoint import Endpoint


class Delivery(Enum):
    """What became of a delivery, as far as its endpoint is concerned."""

    TAKEN = auto()
    FAILED = auto()
    GONE = auto()


@dataclass(frozen=True, slots=True)
class Receiver:
    """An endpoint with its secrets opened."""

    endpoint: Endpoint
    headers: Mapping[str, str]
    secrets: tuple[str, ...]
    """Those that sign now, the newest first."""

    def __repr__(self) -> str:
        """Nothing that is secret."""
        return f"Receiver({self.endpoint.id})"


class Receivers(Protocol):
    """The endpoints, for those who deliver."""

    async def exists(self, tenant: str, endpoint_id: UUID) -> bool:
        """Whether the tenant has this endpoint; a deletion is noticed within seconds. Raise LedgerUnavailable."""
        ...

    async def receiver(self, tenant: str, endpoint_id: UUID) -> Receiver | None:
        """The endpoint as it is now, deleted or not; None when the tenant never had it.

        Raise LedgerUnavailable, and SecretUnreadable.
        """
        ...

    async def tell(self, endpoint_id: UUID, delivery: Delivery) -> None:
        """Note what became of a delivery. Never raises: a note that is lost is made up for by the next."""
        ...


class NoReceivers:
    """What a process without a store of endpoints has."""

    async def exists(self, tenant: str, endpoint_id: UUID) -> bool:  # noqa: ARG002
        """None exists."""
        return False

    async def receiver(self, tenant: str, endpoint_id: UUID) -> Receiver | None:  # noqa: ARG002
        """There is none."""
        return None

    async def tell(self, endpoint_id: UUID, delivery: Delivery) -> None:
        """Nobody listens."""


NO_RECEIVERS = NoReceivers()
