"""No destination takes all the slots of a process: at most `most` calls of each are under way at once.

Whoever comes when they are taken waits for a moment, as long as the destination moves: a healthy host with many jobs
answers some of them within that time, and none needs to be parked. One that hangs ends no calls, and one whose calls
end when their time is up does not move either, so nobody waits for it, and its jobs leave their slots to the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
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
    watched: bool = False
    """Whether somebody looks after those who wait."""


class Bulkhead:
    """The places of every destination in this process."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._places: dict[str, _Places] = {}

    async def enter(self, name: str) -> float:
        """Take a place for a call of `name`, and say when; raise NotNow when none becomes free in time."""
        places = self._places.get(name)
        if places is None:
            places = self._places[name] = _Places(moved_at=self._clock())
        if places.taken < self._most:
            places.taken += 1
        else:
            await self._wait(name, places)
        return self._clock()

    def leave(self, name: str, began: float) -> None:
        """Give back the place that was taken then."""
        now = self._clock()
        self._leave(name, moved_at=now if now - began < PATIENCE else None)

    def taken(self, name: str) -> int:
        """Calls of `name` that are under way here."""
        return self._places[name].taken if name in self._places else 0

    async def _wait(self, name: str, places: _Places) -> None:
        """Wait for a place, for as long as the destination moves: a slot that waits for one that hangs is lost too."""
        left = places.moved_at + PATIENCE - self._clock()
        if left <= 0:
            raise NotNow(name, Reason.FULL, PARKED)
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        places.waiting.append(turn)
        if not places.watched:
            places.watched = True
            loop.call_later(left, self._look, name, places)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with contextlib.suppress(ValueError):  # passed over already
                    places.waiting.remove(turn)
            elif turn.exception() is None:  # it was our turn at that very moment
                self._leave(name, moved_at=None)
            raise

    def _look(self, name: str, places: _Places) -> None:
        """Refuse all that wait, when the destination has not moved; one look serves them all."""
        left = places.moved_at + PATIENCE - self._clock()
        if places.waiting and left > 0:
            asyncio.get_running_loop().call_later(left, self._look, name, places)
            return
        places.watched = False
        while places.waiting:
            turn = places.waiting.popleft()
            if not turn.done():
                turn.set_exception(NotNow(name, Reason.FULL, PARKED))

    def _leave(self, name: str, *, moved_at: float | None) -> None:
        """Hand the place to whoever waits longest."""
        places = self._places[name]
        if moved_at is not None:
            places.moved_at = moved_at
        while places.waiting:
            turn = places.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        places.taken -= 1
        if not places.taken:
            del self._places[name]
