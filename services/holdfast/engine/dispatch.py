"""From the outbox to the broker: publish, wait for the confirm, delete the row.

At least once: a crash after the confirm leaves the row, the steward publishes it again, and the claim tells the
two copies apart. A broker that is away costs nothing but time, for the row is already committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import BrokerUnavailable, LedgerUnavailable
from holdfast.engine.group import Group
from holdfast.ports.broker import Broker
from holdfast.ports.faults import NO_FAULTS, FaultPoint, Faults
from holdfast.ports.outbox import Outbox
from holdfast.telemetry import spans
from holdfast.telemetry.label_values import Shared
from holdfast.telemetry.logs import of_envelope

log = structlog.get_logger(__name__)


class Dispatch:
    """Sends committed envelopes on their way."""

    def __init__(self, broker: Broker, outbox: Outbox, faults: Faults = NO_FAULTS) -> None:
        self._broker, self._outbox, self._faults = broker, outbox, faults
        self._forget: Group[Envelope, None] = Group(self._confirmed, Shared.CONFIRMED)
        self._forgetting: set[asyncio.Task[None]] = set()

    async def send(self, envelope: Envelope) -> bool:
        """Publish one message. False when the broker has not confirmed it: the steward will send it again."""
        try:
            with spans.publishing(envelope) as message:
                await self._broker.publish(message)
        except BrokerUnavailable as error:
            log.warning("dispatch_deferred", why=str(error), **of_envelope(envelope))
            return False
        self._faults.reach(FaultPoint.DISPATCH_CONFIRMED)
        task = asyncio.create_task(self._forget_quietly(envelope))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)
        return True

    async def send_all(self, envelopes: Iterable[Envelope]) -> int:
        """Publish many at once; return how many were confirmed."""
        return sum(await asyncio.gather(*map(self.send, envelopes)))

    async def advance(self, lane: str | None) -> Sequence[Envelope]:
        """Let the next job of a lane begin, if none is under way: after one has ended, and after one has come.

        Whoever comes last sees what the other did, so nobody is forgotten but by a crash, or while the ledger is away;
        then the steward finds the lane.
        """
        if lane is None:
            return ()
        try:
            released = await self._outbox.release([lane])
        except LedgerUnavailable as error:
            log.warning("lane_not_advanced", lane=lane, why=str(error))
            return ()
        for envelope in released:
            log.info("job_released", **of_envelope(envelope))
        await self.send_all(released)
        return released

    async def idle(self) -> None:
        """Wait until every confirmed row has been deleted: for a clean shutdown."""
        while self._forgetting:
            await asyncio.gather(*self._forgetting)

    async def _confirmed(self, sent: Sequence[Envelope]) -> Sequence[None]:
        await self._outbox.confirmed(sent)
        return [None] * len(sent)

    async def _forget_quietly(self, envelope: Envelope) -> None:
        try:
            await self._forget(envelope)
        except LedgerUnavailable as error:
            log.warning("outbox_row_kept", why=str(error), **of_envelope(envelope))
