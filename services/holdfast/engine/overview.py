"""One look at the whole platform, shared by everybody who watches it.

Invariant: however many people watch, the ledger and the broker are asked once per interval, and not at all while
nobody does. A look that takes long is followed by a pause of ten times as long, so that watching a ledger in trouble
is never what troubles it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from holdfast.domain.errors import BrokerUnavailable, LedgerUnavailable, RedisUnavailable, Unavailable
from holdfast.ports.activity import Activity, Recent, Waiting
from holdfast.ports.census import BrokerCensus, LedgerCensus, LedgerCount, QueueCount
from holdfast.ports.clock import Clock
from holdfast.ports.downstreams import Breakers, Known, Worker

log = structlog.get_logger(__name__)

WINDOW = timedelta(seconds=10)
"""Rates and percentiles are of so much time."""
EVERY = 1.0
"""Seconds between two looks."""
SHARE = 10
"""A look may take at most one part in so many of the time."""


@dataclass(frozen=True, slots=True)
class Overview:
    """The platform at one moment."""

    at: datetime
    ledger: LedgerCount
    activity: Activity
    waiting: Sequence[Waiting]
    queues: Mapping[str, QueueCount] | None
    """None while the broker does not tell."""
    workers: Sequence[Worker] | None
    """None while Redis does not answer."""
    downstreams: Sequence[Known] | None
    """Those of which anything is known; None while Redis does not answer."""


class Look:
    """Takes one look."""

    def __init__(
        self, ledger: LedgerCensus, broker: BrokerCensus, recent: Recent, breakers: Breakers, clock: Clock
    ) -> None:
        self._ledger, self._broker, self._recent = ledger, broker, recent
        self._breakers, self._clock = breakers, clock

    async def __call__(self) -> Overview:
        """Raise LedgerUnavailable; a broker or a Redis that is away is part of the answer."""
        queues, ledger, activity, waiting, (workers, downstreams) = await asyncio.gather(
            self._queues(),
            self._ledger.count(timedelta(0)),
            self._recent.activity(WINDOW),
            self._recent.waiting(),
            self._pool(),
        )
        return Overview(self._clock.now(), ledger, activity, waiting, queues, workers, downstreams)

    async def _queues(self) -> Mapping[str, QueueCount] | None:
        try:
            return await self._broker.queues()
        except BrokerUnavailable:
            return None

    async def _pool(self) -> tuple[Sequence[Worker] | None, Sequence[Known] | None]:
        try:
            return await self._breakers.workers(), await self._breakers.all()
        except RedisUnavailable:
            return None, None


Sight = Overview | Unavailable
"""What a look saw, or what kept it from seeing."""


class Watch:
    """Looks again and again while somebody follows. Belongs to one event loop."""

    def __init__(self, look: Callable[[], Awaitable[Overview]], *, every: float = EVERY) -> None:
        self._look, self._every = look, every
        self._followers = 0
        self._looking: asyncio.Task[None] | None = None
        self._seen: Sight | None = None
        self._seen_at = -float("inf")
        self._next = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    @property
    def followers(self) -> int:
        """How many follow at this moment."""
        return self._followers

    async def now(self) -> Overview:
        """The newest sight, if it is not older than an interval, else a look. Raise LedgerUnavailable."""
        async with self._one_at_a_time:
            if time.monotonic() - self._seen_at > self._every:
                await self._see()
            if isinstance(self._seen, Overview):
                return self._seen
            raise self._seen or LedgerUnavailable("nothing has been seen yet")

    async def follow(self) -> AsyncIterator[Sight]:
        """Each new sight; one who is slow misses some, and always gets the newest."""
        self._followers += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._go_on())
        try:
            while True:
                await self._next.wait()
                if self._seen is not None:
                    yield self._seen
        finally:
            self._followers -= 1

    async def _go_on(self) -> None:
        try:
            while self._followers:
                began = time.monotonic()
                async with self._one_at_a_time:
                    await self._see()
                took = time.monotonic() - began
                await asyncio.sleep(max(self._every - took, took * SHARE))
        except Exception:
            log.exception("watch_failed")  # a defect of ours; the next follower starts anew
        finally:
            self._looking = None

    async def _see(self) -> None:
        try:
            self._seen = await self._look()
        except Unavailable as error:
            self._seen = error
        self._seen_at = time.monotonic()
        told, self._next = self._next, asyncio.Event()
        told.set()
