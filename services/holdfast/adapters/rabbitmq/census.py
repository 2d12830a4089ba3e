"""The census of the broker, over the management API.

A quorum queue tells its counts every five seconds (measured: a publication or a purge shows after 5.1 s at most).
Messages on their way from a retry queue home, or from a work queue to the dead one (`messages_dlx`), count as
ready where they still are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from holdfast.adapters.rabbitmq.topology import Management, queue_names
from holdfast.domain.errors import BrokerUnavailable
from holdfast.ports.census import QueueCount


class RabbitCensus:
    """Implements `ports.census.BrokerCensus`."""

    def __init__(self, management: Management) -> None:
        self._management = management

    async def queues(self) -> Mapping[str, QueueCount]:
        """One request, in a thread."""
        return counts(await asyncio.to_thread(self._management.queues))


def counts(found: Mapping[str, Mapping[str, Any]]) -> dict[str, QueueCount]:
    """The counts of every queue of ours, from the management API's answer by queue name."""
    return {name: _count(found[name]) if name in found else QueueCount() for name in queue_names()}


def _count(queue: Mapping[str, Any]) -> QueueCount:
    try:
        ready = queue["messages_ready"] + queue.get("messages_dlx", 0)
        counted = queue.get("message_stats", {})
        taken = counted.get("deliver_get", 0) - counted.get("redeliver", 0)
        return QueueCount(ready, queue["messages_unacknowledged"], queue.get("consumers", 0), taken)
    except KeyError:  # just declared, or its leader is away
        raise BrokerUnavailable(f"RabbitMQ cannot say how much {queue['name']} holds") from None
