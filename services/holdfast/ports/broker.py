"""The broker, as the engine sees it: a place that confirms."""

from __future__ import annotations

from typing import Protocol

from holdfast.domain.envelope import Envelope


class Broker(Protocol):
    """Publishes tickets. Concurrent calls share a confirm window."""

    async def publish(self, envelope: Envelope) -> None:
        """Return once the broker has confirmed the message; raise Unroutable or BrokerUnavailable otherwise.

        After BrokerUnavailable the message may still arrive: consumers claim by (job id, attempt).
        """
        ...

    async def ping(self) -> None:
        """Raise BrokerUnavailable unless a connection is open and unblocked."""
        ...
