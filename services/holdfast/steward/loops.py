"""The steward's loops, each one turn of which is a few statements and publications.

A turn returns True when there may be more to do at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from holdfast.domain.envelope import Envelope
from holdfast.engine.bury import BuryDead
from holdfast.engine.dispatch import Dispatch
from holdfast.ports.dead_queue import DeadQueue
from holdfast.ports.outbox import Outbox

log = structlog.get_logger(__name__)

BATCH = 500
"""Rows or messages of one turn."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Run `turn` every `every` seconds, or at once again while it returns True."""

    name: str
    every: float
    turn: Callable[[], Awaitable[bool]]


class Topology(Protocol):
    """Keeps the broker's policies as they should be. Synchronous; raises BrokerUnavailable."""

    def apply(self) -> list[str]:
        """Set what differs; return what did."""
        ...


def relay(outbox: Outbox, dispatch: Dispatch, after: timedelta) -> Loop:
    """Publish outbox rows that the process which wrote them has not got confirmed."""

    async def turn() -> bool:
        return await _send(dispatch, await outbox.unconfirmed(after, BATCH), "outbox_relayed")

    return Loop("relay", 1.0, turn)


def promote(outbox: Outbox, dispatch: Dispatch) -> Loop:
    """Queue the jobs whose time has come."""

    async def turn() -> bool:
        return await _send(dispatch, await outbox.promote(BATCH), "jobs_promoted")

    return Loop("promote", 0.5, turn)


def rescue(outbox: Outbox, dispatch: Dispatch, grace: timedelta) -> Loop:
    """Queue the jobs whose worker has gone and whose message the broker has not redelivered."""

    async def turn() -> bool:
        return await _send(dispatch, await outbox.rescue(grace, BATCH), "jobs_rescued")

    return Loop("rescue", 5.0, turn)


def archive(queue: DeadQueue, bury: BuryDead) -> Loop:
    """Move the dead-letter queue into the ledger; a message is acknowledged when it is filed."""

    async def turn() -> bool:
        found = await queue.fetch(BATCH)
        for delivered in found:
            await bury.bury(delivered.message)
            await queue.acknowledge(delivered)
        return len(found) == BATCH

    return Loop("archive", 1.0, turn)


def keep_topology(topology: Topology) -> Loop:
    """Put back policies that somebody deleted or changed: without them a rejected message would be dropped."""

    async def turn() -> bool:
        changes = await asyncio.to_thread(topology.apply)
        if changes:
            log.warning("topology_repaired", changes=changes)
        return False

    return Loop("topology", 60.0, turn)


async def _send(dispatch: Dispatch, envelopes: Sequence[Envelope], event: str) -> bool:
    """Publish; go on at once only when everything went through, or the same rows would come again."""
    if not envelopes:
        return False
    sent = await dispatch.send_all(envelopes)
    await dispatch.idle()
    log.info(event, found=len(envelopes), sent=sent)
    return sent == len(envelopes) == BATCH
