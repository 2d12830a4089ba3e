"""A broker that confirms everything at once and keeps it in a list."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import BrokerUnavailable
from holdfast.ports.broker import Broker


class MemoryBroker(Broker):
    """Implements `ports.broker.Broker`."""

    def __init__(self) -> None:
        self.published: list[Envelope] = []

    async def publish_all(self, envelopes: Sequence[Envelope]) -> Sequence[BrokerUnavailable | None]:
        """Keep them."""
        self.published.extend(envelopes)
        return [None] * len(envelopes)

    async def ping(self) -> None:
        """Memory always answers."""
