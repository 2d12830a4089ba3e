"""Breakers with a clock of their own: the domain's rules in memory, and the same rules in Redis."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from holdfast.adapters.memory.breakers import MemoryBreakers
from holdfast.adapters.redis.breakers import RedisBreakers
from holdfast.adapters.redis.link import RedisLink
from holdfast.domain.circuit import Report
from holdfast.domain.downstream import Admitted, Ask, Downstream, Move
from holdfast.domain.downstream_policy import Policies
from holdfast.ports.downstreams import Evidence, Verdict, Worker

START = 1_764_000_000_000
"""Unix milliseconds, as large as real ones."""


@dataclass
class FakeTime:
    """Milliseconds that pass when told to."""

    at: int = START

    def __call__(self) -> int:
        return self.at

    def pass_by(self, ms: int) -> None:
        self.at += ms


@dataclass
class Scene:
    """One store, one downstream in it, and workers that ask and tell."""

    store: MemoryBreakers | RedisBreakers
    time: FakeTime
    policies: Policies
    name: str = "webhook:hooks.example.com"
    leases: int = 0

    async def ask(self, worker: str = "a:1", draw: int = 0, name: str | None = None) -> Verdict:
        """Ask for a call; the lease is named by number."""
        self.leases += 1
        return await self.store.admit(name or self.name, Ask(worker, f"lease-{self.leases}", draw))

    async def epoch(self) -> int:
        """The present epoch."""
        return (await self.kept()).circuit.epoch

    async def tell(
        self, report: Report, worker: str = "a:1", alive: int = 2, draw: int = 0, name: str | None = None
    ) -> Move | None:
        """Tell what came of calls."""
        told = await self.store.tell(beating(worker), alive, [Evidence(name or self.name, report, draw)])
        return told.moves[0]

    async def fail(self, times: int, *workers: str, alive: int = 2) -> None:
        """So many failures in turn at each of these workers."""
        for _ in range(times):
            for worker in workers:
                await self.tell(Report(await self.epoch(), failures=1), worker, alive)

    async def trip(self) -> None:
        """Fail until it opens."""
        await self.fail(self.policies.of(self.name).least_calls, "a:1", "b:1")

    async def pass_probes(self) -> None:
        """Let every probe succeed."""
        for _ in range(self.policies.of(self.name).probes):
            verdict = await self.ask()
            assert isinstance(verdict.answer, Admitted)
            await self.tell(Report(verdict.answer.epoch, ok=1, latency_ms=20, leases=(f"lease-{self.leases}",)))

    async def kept(self, name: str | None = None) -> Downstream:
        """What the store keeps, as it is now."""
        wanted = name or self.name
        if isinstance(self.store, RedisBreakers):
            found = await self.store.downstream(wanted)
        else:
            found = self.store.downstream(wanted)
        return found.at(self.time.at, self.policies.of(wanted))


def beating(instance: str, pool: str = "webhook") -> Worker:
    """A worker of one process."""
    return Worker(instance, instance, pool, concurrency=10, busy=0)


def in_memory(policies: Policies | None = None) -> Scene:
    """A scene in a dictionary."""
    time, rules = FakeTime(), policies or Policies()
    return Scene(MemoryBreakers(rules, time), time, rules)


def in_redis(link: RedisLink, policies: Policies | None = None) -> Scene:
    """A scene in Redis, under a prefix of its own."""
    time, rules = FakeTime(), policies or Policies()
    return Scene(RedisBreakers(link, rules, time, prefix=f"test-{secrets.token_hex(4)}:"), time, rules)
