"""A broker that confirms everything at once and keeps it in a list."""

from __future__ import annotations

from holdfast.domain.envelope import Envelope


class MemoryBroker:
    """Implements `ports.broker.Broker`."""

    def __init__(self) -> None:
        self.published: list[Envelope] = []

    async def publish(self, envelope: Envelope) -> None:
        """Keep it."""
        self.published.append(envelope)

    async def ping(self) -> None:
        """Memory always answers."""
