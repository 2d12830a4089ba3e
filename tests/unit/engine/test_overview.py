"""One look for all who watch."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta

import pytest

from holdfast.adapters.memory.breakers import MemoryBreakers
from holdfast.adapters.memory.census import MemoryBrokerCensus, MemoryCensus
from holdfast.adapters.memory.dead_letters import MemoryDeadLetters
from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.adapters.memory.recent import MemoryRecent
from holdfast.domain.downstream_policy import Policies
from holdfast.domain.errors import LedgerUnavailable, RedisUnavailable
from holdfast.domain.job import JobState
from holdfast.engine.overview import Look, Overview, Sight, Watch
from holdfast.ports.clock import SystemClock
from holdfast.ports.downstreams import Worker
from ledger_world import make_job


class Seer:
    """A look that is counted, and fails while the ledger is away."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger(SystemClock())
        self.broker = MemoryBrokerCensus()
        census = MemoryCensus(self.ledger, MemoryDeadLetters(self.ledger))
        self.breakers = MemoryBreakers(Policies({}))
        self.look = Look(census, self.broker, MemoryRecent(self.ledger), self.breakers, SystemClock())
        self.looks = 0
        self.away = False

    async def __call__(self) -> Overview:
        self.looks += 1
        if self.away:
            raise LedgerUnavailable("Postgres does not answer")
        return await self.look()


async def sights(watch: Watch, number: int) -> list[Sight]:
    async with aclosing(watch.follow()) as following:  # type: ignore[type-var]
        return [await asyncio.wait_for(anext(following), 60) for _ in range(number)]


async def test_a_look_sees_the_ledger_and_the_broker() -> None:
    seer = Seer()
    await seer.ledger.accept([make_job(priority=24), make_job(priority=4)])
    seen = await seer()
    assert seen.ledger.states[JobState.QUEUED] == 2
    assert [(line.priority, line.jobs) for line in seen.waiting] == [(24, 1), (4, 1)]
    assert seen.activity.accepted == 2
    assert seen.queues is not None


async def test_a_broker_that_is_away_is_part_of_the_answer() -> None:
    seer = Seer()
    seer.broker.away = True
    assert (await seer()).queues is None


async def test_workers_and_downstreams_are_part_of_it_unless_redis_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    seer = Seer()
    await seer.breakers.tell(Worker("host:1", "host:2", "webhook", 100, 7), 1, [])
    seen = await seer()
    assert [worker.busy for worker in seen.workers or []] == [7]
    assert seen.downstreams == []

    async def away() -> list[Worker]:
        raise RedisUnavailable("Redis does not answer")

    monkeypatch.setattr(seer.breakers, "workers", away)
    seen = await seer()
    assert (seen.workers, seen.downstreams) == (None, None)


async def test_those_who_ask_within_an_interval_share_one_look() -> None:
    seer = Seer()
    watch = Watch(seer, every=60)
    first, *others = await asyncio.gather(*(watch.now() for _ in range(10)))
    assert seer.looks == 1
    assert all(other is first for other in others)


async def test_those_who_follow_share_each_look() -> None:
    seer = Seer()
    watch = Watch(seer, every=0.5)
    one, other = await asyncio.gather(sights(watch, 3), sights(watch, 3))
    assert [id(sight) for sight in one] == [id(sight) for sight in other]
    assert seer.looks == 3


async def test_nobody_looks_while_nobody_follows() -> None:
    seer = Seer()
    watch = Watch(seer, every=0.01)
    await sights(watch, 2)
    assert watch.followers == 0
    looks = seer.looks
    await asyncio.sleep(0.1)
    assert seer.looks <= looks + 1  # the one under way


async def test_a_follower_is_told_when_the_ledger_goes_and_when_it_is_back() -> None:
    seer = Seer()
    seer.away = True
    watch = Watch(seer, every=0.01)
    async with aclosing(watch.follow()) as following:  # type: ignore[type-var]
        assert isinstance(await anext(following), LedgerUnavailable)
        seer.away = False
        for _ in range(3):
            sight = await asyncio.wait_for(anext(following), 60)
        assert isinstance(sight, Overview)


async def test_one_who_asks_while_the_ledger_is_away_gets_its_error() -> None:
    seer = Seer()
    seer.away = True
    with pytest.raises(LedgerUnavailable, match="does not answer"):
        await Watch(seer).now()


async def test_one_who_is_slow_gets_the_newest_sight() -> None:
    seer = Seer()
    watch = Watch(seer, every=0.01)
    async with aclosing(watch.follow()) as following:  # type: ignore[type-var]
        await anext(following)
        await seer.ledger.accept([make_job()])
        await asyncio.sleep(0.1)
        sight = await anext(following)
    assert isinstance(sight, Overview)
    assert sight.ledger.states[JobState.QUEUED] == 1
    assert sight.activity.window == timedelta(seconds=10)
