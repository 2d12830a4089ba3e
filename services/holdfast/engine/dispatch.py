"""From the outbox to the broker: publish, wait for the confirm, delete the row.

At least once: a crash after the confirm leaves the row, the steward publishes it again, and the claim tells the
two copies apart. A broker that is away costs nothing but time, for the row is already committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import BrokerUnavailable, LedgerUnavailable
from holdfast.engine.group import Group
from holdfast.ports.broker import Broker
from holdfast.ports.faults import NO_FAULTS, FaultPoint, Faults
from holdfast.ports.outbox import Outbox
from holdfast.telemetry import spans, tracing
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
        return await self.send_all((envelope,)) == 1

    async def send_all(self, envelopes: Sequence[Envelope]) -> int:
        """Publish many at once; return how many were confirmed."""
        if not envelopes:
            return 0
        confirmed = list[Envelope]()
        for envelope, error in zip(envelopes, await self._publish(envelopes), strict=True):
            if error is None:
                confirmed.append(envelope)
            else:
                log.warning("dispatch_deferred", why=str(error), **of_envelope(envelope))
        if confirmed:
            self._faults.reach(FaultPoint.DISPATCH_CONFIRMED)
            task = asyncio.create_task(self._forget_quietly(confirmed))
            self._forgetting.add(task)
            task.add_done_callback(self._forgetting.discard)
        return len(confirmed)

    async def advance(self, *lanes: str | None) -> Sequence[Envelope]:
        """Let the next job of each lane begin, if none is under way: after one has ended, and after one has come.

        Whoever comes last sees what the other did, so nobody is forgotten but by a crash, or while the ledger is away;
        then the steward finds the lane.
        """
        named = [lane for lane in lanes if lane is not None]
        if not named:
            return ()
        try:
            released = await self._outbox.release(named)
        except LedgerUnavailable as error:
            log.warning("lanes_not_advanced", lanes=named, why=str(error))
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

    async def _publish(self, envelopes: Sequence[Envelope]) -> Sequence[BrokerUnavailable | None]:
        if not tracing.on():
            return await self._broker.publish_all(envelopes)
        return await asyncio.gather(*map(self._publish_traced, envelopes))

    async def _publish_traced(self, envelope: Envelope) -> BrokerUnavailable | None:
        """A message of its own, which names its own span as its origin."""
        try:
            with spans.publishing(envelope) as message:
                await self._broker.publish(message)
        except BrokerUnavailable as error:
            return error
        return None

    async def _forget_quietly(self, envelopes: Sequence[Envelope]) -> None:
        for envelope, error in zip(envelopes, await self._forget.all(envelopes), strict=True):
            match error:
                case LedgerUnavailable():
                    log.warning("outbox_row_kept", why=str(error), **of_envelope(envelope))
                case Exception():
                    raise error
