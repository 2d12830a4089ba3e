"""No destination takes all the slots of a process, and nobody gives a slot away by waiting for one that hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from holdfast.adapters.memory.breakers import MemoryBreakers
from holdfast.domain.circuit import Reason
from holdfast.domain.downstream import Forced, Override
from holdfast.domain.downstream_policy import Policies
from holdfast.engine import bulkhead as module
from holdfast.engine.bulkhead import PATIENCE, Bulkhead
from holdfast.engine.downstreams import PooledDownstreams
from holdfast.ports.downstreams import NotNow, Worker

HOST = "webhook:a.example"


class Clock:
    """Real time, and what the test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@asynccontextmanager
async def place(bulkhead: Bulkhead, name: str) -> AsyncIterator[None]:
    """Hold a place."""
    began = await bulkhead.enter(name)
    try:
        yield
    finally:
        bulkhead.leave(name, began)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> float:
    """More patience than a busy machine uses up."""
    monkeypatch.setattr(module, "PATIENCE", 60.0)
    return module.PATIENCE


async def test_a_destination_that_ended_no_call_for_a_while_gets_no_more_than_its_places(clock: Clock) -> None:
    bulkhead = Bulkhead(2, clock)
    async with AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(place(bulkhead, HOST))
        clock.ahead += PATIENCE
        with pytest.raises(NotNow) as refused:
            await held.enter_async_context(place(bulkhead, HOST))
        assert refused.value.reason is Reason.FULL
        await held.enter_async_context(place(bulkhead, "webhook:b.example"))
    assert bulkhead.taken(HOST) == 0


async def test_who_comes_late_waits_no_longer_than_who_came_before(clock: Clock, patient: float) -> None:
    bulkhead = Bulkhead(1, clock)
    async with place(bulkhead, HOST):
        clock.ahead += patient - 0.05
        began = time.monotonic()
        with pytest.raises(NotNow):
            await bulkhead.enter(HOST)
        assert time.monotonic() - began < patient / 2


async def test_a_place_is_not_handed_to_one_who_has_just_been_cancelled(clock: Clock) -> None:
    bulkhead = Bulkhead(1, clock)
    began = await bulkhead.enter(HOST)
    gone, next_one = (asyncio.create_task(bulkhead.enter(HOST)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    bulkhead.leave(HOST, began)  # before the cancelled one has noticed
    bulkhead.leave(HOST, await next_one)
    assert gone.cancelled()
    assert bulkhead.taken(HOST) == 0


@pytest.mark.usefixtures("patient")
async def test_a_place_that_becomes_free_goes_to_whoever_waits_longest(clock: Clock) -> None:
    bulkhead, entered = Bulkhead(1, clock), []

    async def enter(who: str) -> None:
        async with place(bulkhead, HOST):
            entered.append(who)

    async with asyncio.TaskGroup() as waiting, place(bulkhead, HOST):
        waiting.create_task(enter("first"))
        waiting.create_task(enter("second"))
        await asyncio.sleep(0.01)
        assert not entered
    assert entered == ["first", "second"]
    assert bulkhead.taken(HOST) == 0


async def test_a_destination_whose_calls_end_when_their_time_is_up_is_stuck_all_the_same(clock: Clock) -> None:
    bulkhead = Bulkhead(2, clock)
    async with place(bulkhead, HOST):
        hanging = place(bulkhead, HOST)
        await hanging.__aenter__()
        clock.ahead += 5 * PATIENCE
        await hanging.__aexit__(None, None, None)
        async with place(bulkhead, HOST):
            with pytest.raises(NotNow):
                await bulkhead.enter(HOST)


async def test_who_is_cancelled_while_waiting_takes_no_place_along(clock: Clock) -> None:
    bulkhead = Bulkhead(1, clock)
    async with place(bulkhead, HOST):
        waiting = asyncio.create_task(bulkhead.enter(HOST))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert bulkhead.taken(HOST) == 0
    async with place(bulkhead, HOST):
        assert bulkhead.taken(HOST) == 1


async def test_a_job_that_finds_no_place_at_a_sick_destination_waits_for_its_breaker(clock: Clock) -> None:
    breakers = MemoryBreakers(Policies())
    worker = Worker("worker", "worker", "webhook", concurrency=2, busy=0)
    downstreams = PooledDownstreams(breakers, breakers, Policies(), worker, most=1, clock=clock, draw=lambda: 0.0)
    async with downstreams.call(HOST):
        until = await breakers.now() + 60_000
        await breakers.override(HOST, Override(Forced.OPEN, until, reason="sick", by="test", at=0))
        clock.ahead += PATIENCE
        with pytest.raises(NotNow) as refused:
            await downstreams.call(HOST).__aenter__()
    assert refused.value.reason is Reason.FORCED_OPEN
