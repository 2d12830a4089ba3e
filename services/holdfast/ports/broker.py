"""The broker, as the engine sees it: a place that confirms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import BrokerUnavailable


class Broker(Protocol):
    """Publishes tickets. Concurrent calls share a confirm window."""

    async def publish_all(self, envelopes: Sequence[Envelope]) -> Sequence[BrokerUnavailable | None]:
        """Return once the fate of each message is known: None when the broker has confirmed it, or why it has not.

        After BrokerUnavailable the message may still arrive: consumers claim by (job id, attempt). Unroutable is one.
        """
        ...

    async def publish(self, envelope: Envelope) -> None:
        """`publish_all` of one; raise what kept it from being confirmed."""
        (error,) = await self.publish_all((envelope,))
        if error is not None:
            raise error

    async def ping(self) -> None:
        """Raise BrokerUnavailable unless a connection is open and unblocked."""
        ...
