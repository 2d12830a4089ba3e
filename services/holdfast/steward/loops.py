"""The steward's loops, each one turn of which is a few statements and publications.

A turn returns True when there may be more to do at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import compress
from typing import Protocol

import structlog

from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import LedgerUnavailable, RedisUnavailable
from holdfast.engine.bury import BuryDead
from holdfast.engine.conserve import Conservation
from holdfast.engine.dispatch import Dispatch
from holdfast.engine.retain import Retain
from holdfast.ports.activity import Recent, Waiting
from holdfast.ports.census import Observation
from holdfast.ports.dead_queue import DeadQueue
from holdfast.ports.downstreams import Breakers, Known, Worker
from holdfast.ports.endpoints import Endpoints
from holdfast.ports.faults import NO_FAULTS, FaultPoint, Faults
from holdfast.ports.outbox import Outbox
from holdfast.telemetry import metrics
from holdfast.telemetry.label_values import LoopName
from holdfast.telemetry.logs import of_envelope

log = structlog.get_logger(__name__)

BATCH = 500
"""Rows or messages of one turn."""
SENT = {
    LoopName.RELAY: "ticket_relayed",
    LoopName.PROMOTE: "job_promoted",
    LoopName.RESCUE: "job_rescued",
    LoopName.ADVANCE: "job_released",
    LoopName.UNPARK: "job_unparked",
}
"""How the log names a ticket that a loop sent."""


@dataclass(frozen=True, slots=True)
class Loop:
    """Run `turn` every `every` seconds, or at once again while it returns True."""

    name: LoopName
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
        return await _send(dispatch, await outbox.unconfirmed(after, BATCH), LoopName.RELAY)

    return Loop(LoopName.RELAY, 1.0, turn)


def promote(outbox: Outbox, dispatch: Dispatch, faults: Faults = NO_FAULTS) -> Loop:
    """Queue the jobs whose time has come."""

    async def turn() -> bool:
        due = await outbox.promote(BATCH)
        if due:
            faults.reach(FaultPoint.PROMOTE_COMMITTED)
        return await _send(dispatch, due, LoopName.PROMOTE)

    return Loop(LoopName.PROMOTE, 0.5, turn)


def rescue(outbox: Outbox, dispatch: Dispatch, grace: timedelta, faults: Faults = NO_FAULTS) -> Loop:
    """Queue the jobs whose worker has gone and whose message the broker has not redelivered."""

    async def turn() -> bool:
        lost = await outbox.rescue(grace, BATCH)
        if lost:
            faults.reach(FaultPoint.RESCUE_COMMITTED)
        return await _send(dispatch, lost, LoopName.RESCUE)

    return Loop(LoopName.RESCUE, 5.0, turn)


def advance(outbox: Outbox, dispatch: Dispatch) -> Loop:
    """Let lanes go on whose next job nobody has called: the process that should have has died, or met an outage."""

    async def turn() -> bool:
        return await _send(dispatch, await outbox.release(await outbox.stalled(BATCH)), LoopName.ADVANCE)

    return Loop(LoopName.ADVANCE, 2.0, turn)


def unpark(endpoints: Endpoints, dispatch: Dispatch, ramp: int) -> Loop:
    """Queue the jobs of endpoints that are enabled again, `ramp` of each at first and as many more every second."""

    async def turn() -> bool:
        await _send(dispatch, await endpoints.unpark(ramp, BATCH), LoopName.UNPARK)
        return False  # more at once would be no ramp

    return Loop(LoopName.UNPARK, 1.0, turn)


def probe(ask: Callable[[], Awaitable[bool]]) -> Loop:
    """Ask endpoints that were disabled for failing whether they are well again."""
    return Loop(LoopName.PROBE, 1.0, ask)


def archive(queue: DeadQueue, bury: BuryDead, faults: Faults = NO_FAULTS) -> Loop:
    """Move the dead-letter queue into the ledger; a message is acknowledged when it is filed."""

    async def turn() -> bool:
        found = await queue.fetch(BATCH)
        try:
            for delivered in found:
                await bury.bury(delivered.message)
                faults.reach(FaultPoint.ARCHIVE_FILED)
                await queue.acknowledge(delivered)
        except BaseException:
            await queue.let_go()
            raise
        return len(found) == BATCH

    return Loop(LoopName.ARCHIVE, 1.0, turn)


def keep_topology(topology: Topology) -> Loop:
    """Put back policies that somebody deleted or changed: without them a rejected message would be dropped."""

    async def turn() -> bool:
        changes = await asyncio.to_thread(topology.apply)
        if changes:
            log.warning("topology_repaired", changes=changes)
        return False

    return Loop(LoopName.TOPOLOGY, 60.0, turn)


def conserve(conservation: Conservation, show: Callable[[Observation | None], None], every: float) -> Loop:
    """Compare ledger and broker, and write lost tickets anew."""

    async def turn() -> bool:
        try:
            show(await conservation.look())
        except LedgerUnavailable:
            show(None)
            raise
        for queue, written in (await conservation.repair()).items():
            metrics.TICKETS_REPLACED.of(queue).inc(written)
        return False

    return Loop(LoopName.CONSERVE, every, turn)


def watch_downstreams(
    breakers: Breakers, show: Callable[[tuple[Sequence[Known], Sequence[Worker], int] | None], None]
) -> Loop:
    """Look at every breaker and worker of the pool."""

    async def turn() -> bool:
        try:
            show((await breakers.all(), await breakers.workers(), await breakers.now()))
        except RedisUnavailable:
            show(None)
            raise
        return False

    return Loop(LoopName.DOWNSTREAMS, 5.0, turn)


def watch_waiting(recent: Recent, show: Callable[[Sequence[Waiting] | None], None]) -> Loop:
    """Count the jobs that wait, by work queue and priority."""

    async def turn() -> bool:
        try:
            show(await recent.waiting())
        except LedgerUnavailable:
            show(None)
            raise
        return False

    return Loop(LoopName.WAITING, 5.0, turn)


def tell_backlog(recent: Recent, tell: Callable[[Sequence[Waiting]], None]) -> Loop:
    """Tell CloudWatch how many jobs wait, for workers to be scaled by; while the ledger is away it is told nothing."""

    async def turn() -> bool:
        tell(await recent.waiting())
        return False

    return Loop(LoopName.BACKLOG, 30.0, turn)


def retain(forget: Retain) -> Loop:
    """Forget what has been kept for long enough."""
    return Loop(LoopName.RETAIN, 600.0, forget.turn)


async def _send(dispatch: Dispatch, envelopes: Sequence[Envelope], loop: LoopName) -> bool:
    """Publish; go on at once only when everything went through, or the same rows would come again."""
    if not envelopes:
        return False
    confirmed = await asyncio.gather(*map(dispatch.send, envelopes))
    await dispatch.idle()
    sent = sum(confirmed)
    metrics.TICKETS_SENT.of(loop).inc(sent)
    for envelope in compress(envelopes, confirmed):
        log.info(SENT[loop], **of_envelope(envelope))
    if sent < len(envelopes):
        log.warning("tickets_kept", loop=loop, found=len(envelopes), sent=sent)
    return sent == len(envelopes) == BATCH
