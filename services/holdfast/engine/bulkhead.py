"""No destination takes all the slots of a process: at most `most` calls of each are under way at once.

Whoever comes when they are taken waits for a moment, as long as the destination moves: a healthy host with many jobs
answers some of them within that time, and none needs to be parked. One that hangs ends no calls, and one whose calls
end when their time is up does not move either, so nobody waits for it, and its jobs leave their slots to the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from holdfast.domain.circuit import Reason
from holdfast.ports.downstreams import NotNow

PATIENCE = 1.0
"""Seconds after which a destination counts as stuck in which it ended no call that took less."""
PARKED = timedelta(seconds=4)
"""How long a job is parked that got no place: a destination that is stuck is seldom well again within a second."""

ALONE = 8
"""Calls of one destination that a job may have under way in a process that runs one job at a time: there is nobody to
leave slots to, and a PDF fetches eight assets at once."""


def places_for(slots: int, share: float) -> int:
    """Calls of one destination that a process with so many slots may have under way."""
    return ALONE if slots == 1 else max(1, int(slots * share))


@dataclass(slots=True)
class _Places:
    taken: int = 0
    moved_at: float = 0.0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Bulkhead:
    """The places of every destination in this process."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._places: dict[str, _Places] = {}

    @asynccontextmanager
    async def place(self, name: str) -> AsyncIterator[None]:
        """Hold a place for a call of `name`; raise NotNow when none becomes free in time."""
        await self._enter(name)
        began = self._clock()
        try:
            yield
        finally:
            self._leave(name, moved=self._clock() - began < PATIENCE)

    def taken(self, name: str) -> int:
        """Calls of `name` that are under way here."""
        return self._places[name].taken if name in self._places else 0

    async def _enter(self, name: str) -> None:
        places = self._places.setdefault(name, _Places(moved_at=self._clock()))
        if places.taken < self._most:
            places.taken += 1
        else:
            await self._wait(name, places)

    async def _wait(self, name: str, places: _Places) -> None:
        """Wait for a place, for as long as the destination moves: a slot that waits for one that hangs is lost too."""
        turn = asyncio.get_running_loop().create_future()
        places.waiting.append(turn)
        try:
            while not turn.done():
                left = places.moved_at + PATIENCE - self._clock()
                if left <= 0:
                    raise NotNow(name, Reason.FULL, PARKED)
                await asyncio.wait([turn], timeout=left)
        except BaseException:
            if turn.done():  # it was our turn at that very moment
                self._leave(name, moved=False)
            else:
                places.waiting.remove(turn)
            raise

    def _leave(self, name: str, *, moved: bool) -> None:
        """Hand the place to whoever waits longest."""
        places = self._places[name]
        if moved:
            places.moved_at = self._clock()
        if places.waiting:
            places.waiting.popleft().set_result(None)
            return
        places.taken -= 1
        if not places.taken:
            del self._places[name]
