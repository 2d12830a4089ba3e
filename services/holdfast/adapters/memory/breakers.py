"""Breakers in a dictionary: the domain's own code, and what a process falls back to when Redis is away.

Bounded: what may be forgotten is, and past `MOST` names the one that would be forgotten first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from holdfast.domain.downstream import Ask, Downstream, Move, Override, moved
from holdfast.domain.downstream_policy import Policies
from holdfast.ports.downstreams import Evidence, Known, Told, Verdict, Worker, instances, known

MOST = 10_000
ALIVE_MS = 10_000
"""For how long a beat counts."""


def wall_clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class MemoryBreakers:
    """Implements `ports.downstreams.Breakers`."""

    def __init__(self, policies: Policies, clock: Callable[[], int] = wall_clock, *, most: int = MOST) -> None:
        self._policies, self._clock, self._most = policies, clock, most
        self._kept: dict[str, tuple[Downstream, int]] = {}
        self._workers: dict[str, tuple[Worker, int]] = {}

    async def admit(self, name: str, ask: Ask) -> Verdict:
        """Ask the domain."""
        now, before = self._clock(), self.downstream(name)
        after, answer = before.admit(ask, now, self._policies.of(name))
        if after is not before:
            self._keep(name, after, now)
        return Verdict(answer, now, moved(before, after))

    async def tell(self, worker: Worker, alive: int, evidence: Sequence[Evidence]) -> Told:
        """Tell the domain."""
        self._workers[worker.process] = worker, self._clock() + ALIVE_MS
        moves = [self._record(worker, alive, one) for one in evidence]
        return Told(instances(await self.workers(), worker.pool), moves)

    def _record(self, worker: Worker, alive: int, told: Evidence) -> Move | None:
        now, before, policy = self._clock(), self.downstream(told.name), self._policies.of(told.name)
        after = before.record(told.report, worker.instance, alive, told.draw, now, policy)
        self._keep(told.name, after, now)
        return moved(before, after)

    async def workers(self) -> list[Worker]:
        """Those whose beat counts."""
        now = self._clock()
        alive = [worker for worker, until in self._workers.values() if until > now]
        return sorted(alive, key=lambda worker: (worker.pool, worker.process))

    async def look(self, name: str) -> Known:
        """One of them."""
        return known(name, self.downstream(name), self._clock(), self._policies.of(name))

    async def all(self) -> list[Known]:
        """All that are kept."""
        now = self._clock()
        return [await self.look(name) for name, (_, until) in sorted(self._kept.items()) if until > now]

    async def override(self, name: str, override: Override) -> Known:
        """Force it."""
        return self._force(name, override)

    async def now(self) -> int:
        """The machine's time."""
        return self._clock()

    async def clear(self, name: str) -> Known:
        """Let it be."""
        return self._force(name, None)

    def downstream(self, name: str) -> Downstream:
        """What is kept of it."""
        kept, until = self._kept.get(name, (None, 0))
        return kept if kept is not None and until > self._clock() else Downstream()

    def _force(self, name: str, override: Override | None) -> Known:
        now, policy = self._clock(), self._policies.of(name)
        after = self.downstream(name).forced(override, now, policy)
        self._keep(name, after, now)
        return known(name, after, now, policy)

    def _keep(self, name: str, downstream: Downstream, now: int) -> None:
        self._kept[name] = downstream, now + downstream.remember_ms(now, self._policies.of(name))
        if len(self._kept) > self._most:
            self._kept = {name: kept for name, kept in self._kept.items() if kept[1] > now}
        while len(self._kept) > self._most:
            del self._kept[min(self._kept, key=lambda name: self._kept[name][1])]
