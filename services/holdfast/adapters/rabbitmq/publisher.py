"""Publish tickets with pipelined confirms.

All that asks for a publication in one turn of the event loop is written together, up to a window of unconfirmed
messages, and each publication is resolved when its ack, nack or return arrives; so a thousand publications cost about
one round trip. Everything but the opening of a connection happens in the event loop: a thread of its own would wait for
the interpreter's lock whenever the loop is busy, for milliseconds each time.

                 publish()               confirm / nack / return / deadline / connection lost
    caller ───► waiting ───► in flight ───────────────────────────────────────────────► resolved

Invariant: every publication is resolved exactly once, at the latest about `timeout` after it was asked for. A message
whose publication failed may still arrive (a late confirm is ignored): consumers claim by (job id, attempt).
While the broker is away or has blocked us (memory or disk alarm) publications fail at once, and the outbox keeps
the message.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import amqp
import structlog

from holdfast.adapters.rabbitmq import topology
from holdfast.adapters.rabbitmq.connection import PASSING, connect
from holdfast.adapters.rabbitmq.message import Content, encode, message_id
from holdfast.adapters.rabbitmq.wire import Wire
from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import BrokerUnavailable, Unroutable
from holdfast.ports.broker import Broker
from holdfast.telemetry import metrics
from holdfast.telemetry.families import Share
from holdfast.telemetry.label_values import Published

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two attempts to connect: doubled each time, up to the longest."""
TICK = 0.5
"""Seconds between two looks for deadlines and heartbeats: how late they can be noticed."""
FAREWELL = 1.0
"""Seconds for closing a connection."""


@dataclass(slots=True, eq=False)
class _Lot:
    """The publications of one call."""

    asked: float
    """When they were asked for, on the monotonic clock."""
    errors: list[BrokerUnavailable | None]
    left: int
    """Those that are not resolved."""
    done: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class _Publication:
    envelope: Envelope
    content: Content
    lot: _Lot
    place: int
    """In its lot."""
    returned: bool = False


class Publisher(Broker):
    """Implements `ports.broker.Broker`. Belongs to the event loop that uses it first."""

    def __init__(self, url: str, *, name: str = "holdfast publisher", timeout: float = 5.0, window: int = 500) -> None:
        self._url, self._name, self._timeout, self._window = url, name, timeout, window
        self._waiting: deque[_Publication] = deque()
        self._inflight: dict[int, _Publication] = {}  # by delivery tag, which only grows: oldest first
        self._published = 0  # the delivery tag of the newest message on this channel
        self._away: str | None = None  # why publications fail at once
        self._wire: Wire | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._closed = self._writing = False
        metrics.WINDOW.of().set(window)
        self._told = {result: metrics.PUBLISHED.of(result) for result in Published}
        self._confirm_seconds = metrics.CONFIRM.of()
        self._in_flight, self._usable = Share(metrics.IN_FLIGHT), Share(metrics.CONNECTED)

    async def publish_all(self, envelopes: Sequence[Envelope]) -> Sequence[BrokerUnavailable | None]:
        """Queue the messages and wait for their confirms."""
        if self._away:
            self._told[Published.LOST].inc(len(envelopes))
            return [BrokerUnavailable(self._away)] * len(envelopes)
        self._start()
        count, done = len(envelopes), asyncio.get_running_loop().create_future()
        lot = _Lot(time.monotonic(), [None] * count, count, done)
        self._waiting.extend(_Publication(it, encode(it), lot, place) for place, it in enumerate(envelopes))
        self._write_soon()
        await done
        return lot.errors

    async def ping(self) -> None:
        """Wait for the first connection; raise BrokerUnavailable when there is none, or when it is blocked."""
        self._start()
        end = time.monotonic() + self._timeout
        while self._wire is None and not self._away and time.monotonic() < end:  # noqa: ASYNC110 - seldom, and once
            await asyncio.sleep(0.02)
        if self._away or self._wire is None:
            raise BrokerUnavailable(self._away or "RabbitMQ has not answered yet")

    def close(self) -> None:
        """Fail what waits, and close the connection."""
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
        self._let_go(FAREWELL)
        self._lose("the publisher was closed")

    # -- the connection ---------------------------------------------------------------------------------------

    def _start(self) -> None:
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep_connected(), context=Context())  # it is about no one job

    async def _keep_connected(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                connection, channel = await self._opened()
                self._wire = Wire(connection, channel, self._confirmed)
                self._published, self._away, pause = 0, None, FIRST_PAUSE
                self._usable.set(1)
                self._write()
                await self._watch(self._wire)
            except Exception as error:  # whatever it was, callers wait for an answer and the next connection may hold
                if not isinstance(error, (*PASSING, amqp.AMQPError, BrokerUnavailable)):
                    log.exception("publisher_failed")
                self._let_go()
                self._lose(str(error) or type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _opened(self) -> tuple[amqp.Connection, amqp.Channel]:
        """A connection, opened in a thread; what waits for it is held to its deadline meanwhile."""
        opening = asyncio.ensure_future(asyncio.to_thread(self._open, asyncio.get_running_loop()))
        while not (await asyncio.wait({opening}, timeout=TICK))[0]:
            self._expire()
        return opening.result()

    def _open(self, loop: asyncio.AbstractEventLoop) -> tuple[amqp.Connection, amqp.Channel]:
        connection = connect(
            self._url,
            name=self._name,
            timeout=self._timeout,
            on_blocked=lambda reason: loop.call_soon_threadsafe(self._blocked, reason),
            on_unblocked=lambda: loop.call_soon_threadsafe(self._unblocked),
        )
        try:
            channel = connection.channel()
            topology.declare(channel)
            channel.confirm_select()
            channel.events["basic_return"].add(self._returned)
            if self._closed:
                raise BrokerUnavailable("the publisher was closed")
        except BaseException:
            connection.collect()
            raise
        return connection, channel

    async def _watch(self, wire: Wire) -> None:
        """Hold publications to their deadlines until the connection is lost; raise what it was lost of."""
        while not wire.lost.done():
            await asyncio.wait({wire.lost}, timeout=TICK)
            self._expire()
            wire.beat()
        wire.lost.result()

    def _let_go(self, farewell: float | None = None) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close(farewell)

    # -- publications -----------------------------------------------------------------------------------------

    def _write_soon(self) -> None:
        """Write at the end of this turn of the event loop, with whatever else comes in it."""
        if not self._writing and self._wire is not None:
            self._writing = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        self._writing = False
        wire = self._wire
        if wire is None or self._away:
            return
        while self._waiting and len(self._inflight) < self._window:
            publication = self._waiting.popleft()
            self._published += 1
            self._inflight[self._published] = publication
            wire.publish(publication.envelope.route, publication.content)
        self._in_flight.set(len(self._inflight))
        wire.flush()

    def _expire(self) -> None:
        """Fail what is past its deadline; a connection that confirms nothing for so long is given up."""
        too_old = time.monotonic() - self._timeout
        late = list[_Publication]()
        while self._waiting and self._waiting[0].lot.asked <= too_old:
            late.append(self._waiting.popleft())
        self._fail(late, "RabbitMQ is too slow: the message was not sent")
        oldest = next(iter(self._inflight.values()), None)
        if oldest is not None and oldest.lot.asked <= too_old:
            raise BrokerUnavailable(f"RabbitMQ did not confirm a message within {self._timeout:g} s")

    def _confirmed(self, tag: int, multiple: bool, ack: bool) -> None:
        said = Counter[Published]()
        for publication in self._take(tag, multiple):
            if not ack:
                error = BrokerUnavailable("RabbitMQ refused the message: its queue is full or not available")
                self._finish(publication, error)
                said[Published.NACKED] += 1
            elif publication.returned:
                key = publication.envelope.route.routing_key
                self._finish(publication, Unroutable(f"no queue is bound for {key!r}; run `holdfast topology apply`"))
                said[Published.RETURNED] += 1
            else:
                self._finish(publication, None)
                said[Published.CONFIRMED] += 1
        for result, times in said.items():
            self._told[result].inc(times)
        self._in_flight.set(len(self._inflight))
        if self._waiting:
            self._write_soon()

    def _returned(self, _error: Exception, _exchange: str, _key: str, message: Any) -> None:
        returned = message.properties.get("message_id")
        for publication in self._inflight.values():
            if message_id(publication.envelope) == returned:
                publication.returned = True

    def _take(self, tag: int, multiple: bool) -> Iterator[_Publication]:
        if not multiple:
            publication = self._inflight.pop(tag, None)
            if publication is not None:
                yield publication
            return
        while self._inflight and next(iter(self._inflight)) <= tag:
            yield self._inflight.pop(next(iter(self._inflight)))

    def _blocked(self, reason: str) -> None:
        """Fail everything now: the outbox keeps it, and what arrives later all the same does no harm."""
        self._lose(f"RabbitMQ takes no messages now, because of a memory or disk alarm ({reason}); see its log")

    def _unblocked(self) -> None:
        self._away = None
        self._usable.set(1)

    def _lose(self, why: str) -> None:
        """Nothing in flight or waiting can be known to have arrived."""
        self._away = why
        lost = [*self._inflight.values(), *self._waiting]
        self._inflight.clear()
        self._waiting.clear()
        self._fail(lost, why)
        self._in_flight.set(0)
        self._usable.set(0)

    def _fail(self, publications: Sequence[_Publication], why: str) -> None:
        """They are lost, as far as anybody knows."""
        for publication in publications:
            self._finish(publication, BrokerUnavailable(why))
        self._told[Published.LOST].inc(len(publications))

    def _finish(self, publication: _Publication, error: BrokerUnavailable | None) -> None:
        lot = publication.lot
        lot.errors[publication.place] = error
        lot.left -= 1
        if lot.left == 0 and not lot.done.done():
            self._confirm_seconds.observe(time.monotonic() - lot.asked)
            lot.done.set_result(None)
