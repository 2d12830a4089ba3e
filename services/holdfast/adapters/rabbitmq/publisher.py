"""Publish tickets with pipelined confirms.

One thread owns one connection. It writes whatever waits, up to a window of unconfirmed messages, and resolves
each publication when its ack, nack or return arrives; so a thousand publications cost about one round trip.

                 publish()               confirm / nack / return / deadline / connection lost
    caller ───► waiting ───► in flight ───────────────────────────────────────────────► resolved

Invariant: every publication is resolved exactly once, at the latest `timeout` after it was asked for. A message
whose publication failed may still arrive (a late confirm is ignored): consumers claim by (job id, attempt).
While the broker is away or has blocked us (memory or disk alarm) publications fail at once, and the outbox keeps
the message.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import amqp
import structlog

from holdfast.adapters.rabbitmq import topology
from holdfast.adapters.rabbitmq.connection import PASSING, connect
from holdfast.adapters.rabbitmq.message import encode, message_id
from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import BrokerUnavailable, Unroutable
from holdfast.telemetry import metrics
from holdfast.telemetry.families import Share
from holdfast.telemetry.label_values import Published

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two attempts to connect: doubled each time, up to the longest."""
IDLE_TICK = 0.5
"""Longest sleep of the thread, in seconds: how late a deadline or a heartbeat can be noticed."""


@dataclass(slots=True, eq=False)
class _Publication:
    envelope: Envelope
    future: asyncio.Future[None]
    loop: asyncio.AbstractEventLoop
    asked: float
    """When it was asked for, on the monotonic clock."""
    returned: bool = False


class Publisher:
    """Implements `ports.broker.Broker`. Safe to call from any number of event loops and threads."""

    def __init__(self, url: str, *, name: str = "holdfast publisher", timeout: float = 5.0, window: int = 500) -> None:
        self._url, self._name, self._timeout, self._window = url, name, timeout, window
        self._waiting: deque[_Publication] = deque()
        self._inflight: dict[int, _Publication] = {}  # by delivery tag, which only grows: oldest first
        self._published = 0  # the delivery tag of the newest message on this channel
        self._done: list[tuple[_Publication, Exception | None]] = []
        self._away: str | None = None  # why publications fail at once
        self._connected = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._start = threading.Lock()
        metrics.WINDOW.of().set(window)
        self._told = {result: metrics.PUBLISHED.of(result) for result in Published}
        self._confirm_seconds = metrics.CONFIRM.of()
        self._in_flight, self._usable = Share(metrics.IN_FLIGHT), Share(metrics.CONNECTED)

    # -- the caller's side ------------------------------------------------------------------------------------

    async def publish(self, envelope: Envelope) -> None:
        """Queue the message and wait for its confirm."""
        if self._away:
            self._told[Published.LOST].inc()
            raise BrokerUnavailable(self._away)
        loop = asyncio.get_running_loop()
        publication = _Publication(envelope, loop.create_future(), loop, time.monotonic())
        self._ensure_thread()
        self._waiting.append(publication)
        self._wake()
        await publication.future

    async def ping(self) -> None:
        """Wait for the first connection; raise BrokerUnavailable when there is none, or when it is blocked."""
        self._ensure_thread()
        end = time.monotonic() + self._timeout
        while not (self._connected.is_set() or self._away) and time.monotonic() < end:  # noqa: ASYNC110
            await asyncio.sleep(0.02)  # the thread has no event loop to set an asyncio.Event from
        if self._away or not self._connected.is_set():
            raise BrokerUnavailable(self._away or "RabbitMQ has not answered yet")

    def close(self) -> None:
        """Fail what waits, close the connection and end the thread."""
        self._closing.set()
        if self._thread is not None:
            self._wake()
            self._thread.join(timeout=self._timeout)
        if self._thread is None or not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _ensure_thread(self) -> None:
        if self._thread is not None:
            return
        with self._start:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="holdfast-publisher", daemon=True)
                self._thread.start()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the pipe is full: it is awake enough
            os.write(self._wake_write, b"x")

    # -- the thread's side ------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._closing.is_set():
            try:
                with self._session() as (connection, channel):
                    pause = FIRST_PAUSE
                    self._pump(connection, channel)
            except Exception as error:  # whatever it was, callers wait for an answer and the thread must go on
                if not isinstance(error, (*PASSING, amqp.AMQPError, BrokerUnavailable)):
                    log.exception("publisher_failed")
                self._lose(str(error) or type(error).__name__)
                self._closing.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
        self._lose("the publisher was closed")

    @contextlib.contextmanager
    def _session(self) -> Iterator[tuple[amqp.Connection, amqp.Channel]]:
        connection = connect(
            self._url, name=self._name, timeout=self._timeout, on_blocked=self._blocked, on_unblocked=self._unblocked
        )
        try:
            channel = connection.channel()
            topology.declare(channel)
            channel.confirm_select()
            channel.events["basic_ack"].add(self._acked)
            channel.events["basic_nack"].add(self._nacked)
            channel.events["basic_return"].add(self._returned)
            self._published, self._away = 0, None
            self._connected.set()
            self._usable.set(1)
            yield connection, channel
            connection.close()
        finally:
            self._connected.clear()
            connection.collect()

    def _pump(self, connection: amqp.Connection, channel: amqp.Channel) -> None:
        """Write, read and expire until the connection breaks or the publisher is closed."""
        while not self._closing.is_set():
            self._write(channel)
            self._in_flight.set(len(self._inflight))
            self._read(connection, wait=IDLE_TICK if not self._ready_to_write() else 0.0)
            self._expire()
            self._resolve()
            connection.heartbeat_tick()

    def _ready_to_write(self) -> bool:
        return bool(self._waiting) and len(self._inflight) < self._window and self._away is None

    def _write(self, channel: amqp.Channel) -> None:
        while self._ready_to_write():
            publication = self._waiting.popleft()
            envelope = publication.envelope
            self._published += 1
            self._inflight[self._published] = publication
            channel.basic_publish(encode(envelope), envelope.route.exchange, envelope.route.routing_key, mandatory=True)

    def _read(self, connection: amqp.Connection, wait: float) -> None:
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        readable = {descriptor for descriptor, _ in poll.poll(wait * 1000)}
        if self._wake_read in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 65536)
        if connection.sock.fileno() not in readable:
            return
        with contextlib.suppress(TimeoutError):  # nothing more to read now; half a frame stays buffered
            while True:
                connection.drain_events(timeout=0)

    def _expire(self) -> None:
        """Fail what is past its deadline; a connection that confirms nothing for so long is given up."""
        too_old = time.monotonic() - self._timeout
        while self._waiting and self._waiting[0].asked <= too_old:
            self._finish(self._waiting.popleft(), BrokerUnavailable("RabbitMQ is too slow: the message was not sent"))
        oldest = next(iter(self._inflight.values()), None)
        if oldest is not None and oldest.asked <= too_old:
            raise BrokerUnavailable(f"RabbitMQ did not confirm a message within {self._timeout:g} s")

    def _acked(self, tag: int, multiple: bool) -> None:
        for publication in self._take(tag, multiple):
            if publication.returned:
                key = publication.envelope.route.routing_key
                error = Unroutable(f"no queue is bound for {key!r}; run `holdfast topology apply`")
                self._finish(publication, error, Published.RETURNED)
            else:
                self._finish(publication, None, Published.CONFIRMED)
                self._confirm_seconds.observe(time.monotonic() - publication.asked)

    def _nacked(self, tag: int, multiple: bool) -> None:
        for publication in self._take(tag, multiple):
            error = BrokerUnavailable("RabbitMQ refused the message: its queue is full or not available")
            self._finish(publication, error, Published.NACKED)

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
        for publication in (*self._inflight.values(), *self._waiting):
            self._finish(publication, BrokerUnavailable(why))
        self._inflight.clear()
        self._waiting.clear()
        self._in_flight.set(0)
        self._usable.set(0)
        self._resolve()

    def _finish(self, publication: _Publication, error: Exception | None, result: Published = Published.LOST) -> None:
        self._done.append((publication, error))
        self._told[result].inc()

    def _resolve(self) -> None:
        """Tell the callers, one wake-up for each event loop."""
        done, self._done = self._done, []
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Publication, Exception | None]]] = {}
        for publication, error in done:
            by_loop.setdefault(publication.loop, []).append((publication, error))
        for loop, batch in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                loop.call_soon_threadsafe(_tell, batch)


def _tell(batch: list[tuple[_Publication, Exception | None]]) -> None:
    for publication, error in batch:
        if publication.future.done():
            continue
        if error is None:
            publication.future.set_result(None)
        else:
            publication.future.set_exception(error)
