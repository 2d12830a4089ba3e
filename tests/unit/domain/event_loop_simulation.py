"""An api process as a simulation: one thread, callbacks first come first served, no clock but its own.

A request costs what was measured of the real one, about 0.4 ms of the processor in five callbacks, between which it
waits for Redis, for the commit that it shares, and for a confirm. Real machines are noisier; this one is the
same every time, so that a test can hold the limit to what is promised.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from holdfast.domain.concurrency import ConcurrencyLimit

READ, REFUSE = 0.00004, 0.00003
"""Seconds that it takes to read a request from its socket, and to refuse it."""
STEPS = ((0.00015, 0.0004), (0.00005, None), (0.00004, 0.003), (0.00003, 0.0004), (0.0001, 0.0))
"""Seconds of each callback, and of the wait that follows; None waits for the shared commit."""
COMMIT, ROW = 0.003, 0.00005
CAPACITY = 1 / (READ + sum(cost for cost, _ in STEPS))
"""Requests a second that it can do when it does nothing else."""


@dataclass(slots=True)
class Request:
    arrived: float
    begun: float = 0.0
    beside: int = 0
    step: int = 0


@dataclass
class Simulation:
    """`limit` is None for a process that refuses nothing."""

    limit: ConcurrencyLimit | None
    rate: float
    seed: int = 1
    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    now: float = 0.0
    _ready: list[Callable[[], None]] = field(default_factory=list)
    _waits: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _commit: list[Request] = field(default_factory=list)
    _committing: bool = False
    _turning: bool = False
    _expected: int = 0
    _count: int = 0
    _worked: float = 0.0

    def __post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    def run(self, until: float) -> None:
        """Let requests come at random times, from the first moment on at the full rate."""
        due = self.now
        while self.now < until:
            if not self._ready:
                self.now = max(self.now, min([due, *(wait[0] for wait in self._waits[:1])]))
            while self._waits and self._waits[0][0] <= self.now:
                self._ready.append(heapq.heappop(self._waits)[2])
            while due <= self.now:
                self.now += READ
                self._worked += READ
                self._read(Request(due))
                due += self._draw.expovariate(self.rate)
            turn, self._ready = self._ready, []
            for callback in turn:
                callback()

    def _read(self, request: Request) -> None:
        """Turn it away, or let it begin in this turn of the loop."""
        if self.limit is not None:
            self._watch_turns(self.limit)
            if not self.limit.has_room(1, self._expected):
                self._work(REFUSE)
                self.refused.append(self.now - request.arrived)
                return
            self._expected += 1
        self._ready.append(partial(self._begin, request))

    def _begin(self, request: Request) -> None:
        if self.limit is not None:
            self._expected -= 1
            self.limit.begin(1)
            request.begun, request.beside = self.now, self.limit.under_way
        self._step(request)

    def _step(self, request: Request) -> None:
        cost, wait = STEPS[request.step]
        self._work(cost)
        request.step += 1
        if request.step == len(STEPS):
            self._answer(request)
        elif wait is None:
            self._commit.append(request)
            self._flush()
        else:
            self._after(wait, partial(self._step, request))

    def _answer(self, request: Request) -> None:
        if self.limit is not None:
            self.limit.end(1)
            self.limit.answered(self.now - request.begun, request.beside, self.now)
        self.accepted.append(self.now - request.arrived)

    def _flush(self) -> None:
        """One commit at a time, for all that came meanwhile."""
        if self._committing or not self._commit:
            return
        batch, self._commit, self._committing = self._commit, [], True

        def committed() -> None:
            self._committing = False
            self._ready += [partial(self._step, request) for request in batch]
            self._flush()

        self._after(COMMIT + ROW * len(batch), committed)

    def _watch_turns(self, limit: ConcurrencyLimit) -> None:
        if self._turning:
            return
        self._turning = True

        def turn(asked: float) -> None:
            self._turning = False
            limit.turned(self.now - asked, self.now, self._worked)

        self._ready.append(lambda: self._ready.append(partial(turn, self.now)))

    def _work(self, seconds: float) -> None:
        took = seconds * self._draw.uniform(0.7, 1.5)
        self.now += took
        self._worked += took

    def _after(self, seconds: float, callback: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._waits, (self.now + seconds * self._draw.uniform(0.7, 2.5), self._count, callback))


def milliseconds(times: list[float], part: float) -> float:
    """A quantile, such as 0.99."""
    return sorted(times)[int(part * (len(times) - 1))] * 1000
