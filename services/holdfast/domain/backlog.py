"""When a queue is too long for one more job, and how long the caller should stay away.

A queue is too long for a job when the jobs before it would keep it waiting for too long, or when there are simply too
many. What is too long depends on the job's priority: `low` meets its bounds at half of what `high` does, so that the
room that is left belongs to the more urgent. `default` lies between.

The wait is the number of jobs that are ready, divided by how fast they have been taken lately. That rate is measured
only while jobs were ready and somebody consumed: a queue that runs dry is as fast as its arrivals, and one that nobody
consumes (a deployment) will go on at the speed that it had. When workers are there and take nothing, the measured rate
falls, and the wait grows with every second: first `low`, then `default`, then `high` meets its bound.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from holdfast.domain.job import PRIORITIES

MEMORY = 30.0
"""Seconds in which a measurement loses two thirds of its weight."""
ENOUGH = 10.0
"""Seconds that must have been measured before a rate counts."""
SLOWEST = 1e-6
"""Jobs a second: what is slower does not move."""
A_FEW = 100
"""So many ready jobs are no backlog, however slow the queue is."""
UNKNOWN, LONGEST = timedelta(seconds=60), timedelta(minutes=5)
"""How long a caller is sent away when nobody can tell, and the longest: much may change in the meantime."""
AGES = timedelta(days=365)
"""The wait in a queue that does not move."""


class Band(StrEnum):
    """The priorities 0–31 in three bands, each from its namesake up."""

    LOW = "low"
    DEFAULT = "default"
    HIGH = "high"


SHARE: Mapping[Band, float] = {Band.LOW: 0.5, Band.DEFAULT: 0.75, Band.HIGH: 1.0}
"""How much of the bounds each band may fill."""


def band_of(priority: int) -> Band:
    """The band of a priority."""
    if priority >= PRIORITIES[Band.HIGH]:
        return Band.HIGH
    return Band.DEFAULT if priority >= PRIORITIES[Band.DEFAULT] else Band.LOW


@dataclass(frozen=True, slots=True)
class Depth:
    """One look at a queue: jobs that are ready, jobs taken so far, and who consumes; `at` is in seconds."""

    ready: int
    taken: int
    consumers: int
    at: float

    @property
    def busy(self) -> bool:
        """Whether what is taken tells how fast the queue can be."""
        return self.ready > 0 and self.consumers > 0


@dataclass(slots=True)
class DrainRate:
    """Jobs taken a second, over the last busy times: a quotient of two sums that fade alike."""

    _taken: float = 0.0
    _seconds: float = 0.0
    _last: Depth | None = None

    def observe(self, depth: Depth) -> None:
        """Take a look into account. A counter that went back has begun anew, and says nothing of the time between."""
        last, self._last = self._last, depth
        if last is None or not (last.busy and depth.busy) or depth.taken < last.taken or depth.at <= last.at:
            return
        elapsed = depth.at - last.at
        fading = math.exp(-elapsed / MEMORY)
        self._taken = self._taken * fading + depth.taken - last.taken
        self._seconds = self._seconds * fading + elapsed

    @property
    def per_second(self) -> float | None:
        """The rate; None until enough was seen."""
        if self._seconds < ENOUGH:
            return None
        rate = self._taken / self._seconds
        return rate if rate > SLOWEST else 0.0


@dataclass(frozen=True, slots=True)
class BacklogLimits:
    """What a queue may hold at most: by the wait of one more job, and by number."""

    wait: timedelta
    jobs: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """A queue as it stands: how many jobs wait, and how many are taken a second (None: not known)."""

    ready: int
    per_second: float | None

    @property
    def wait(self) -> timedelta | None:
        """How long one more job would wait; None while that is not known or not worth telling."""
        if self.per_second is None or self.ready < A_FEW:
            return None
        return self._time_for(self.ready)

    def excess(self, band: Band, limits: BacklogLimits) -> timedelta | None:
        """None when a job of the band has room; else how long it takes until there is some, as far as one can tell."""
        most, longest = limits.jobs * SHARE[band], limits.wait * SHARE[band]
        waits = []
        if self.ready >= most:
            waits.append(UNKNOWN if self.per_second is None else self._time_for(self.ready - most))
        if self.wait is not None and self.wait > longest:
            waits.append(self.wait - longest)
        return min(max(waits), LONGEST) if waits else None

    def holds_until(self) -> timedelta:
        """When the jobs that wait now will be through, as far as one can tell: what is due later does not meet them."""
        return self._time_for(self.ready) if self.per_second is not None else LONGEST

    def _time_for(self, jobs: float) -> timedelta:
        return timedelta(seconds=jobs / self.per_second) if self.per_second else AGES
