"""The dead-letter queue, as its only consumer sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from holdfast.domain.dead_letter import DeadMessage


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message that the broker has handed out and waits to hear about."""

    tag: int
    message: DeadMessage


class DeadQueue(Protocol):
    """Raises BrokerUnavailable. Messages that are not acknowledged come back."""

    async def fetch(self, limit: int) -> Sequence[Delivered]:
        """Up to `limit` messages; none when the queue is empty."""
        ...

    async def acknowledge(self, delivered: Delivered) -> None:
        """The message is filed."""
        ...

    async def let_go(self) -> None:
        """Give back whatever was fetched and not acknowledged."""
        ...
