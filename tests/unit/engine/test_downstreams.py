"""Calls of downstreams as handlers make them: what Redis is asked, whose fault it is, what happens without it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from breaker_worlds import FakeTime, beating
from holdfast.adapters.memory.breakers import MemoryBreakers
from holdfast.domain.circuit import CircuitState, Reason, Report
from holdfast.domain.downstream import Ask, Forced, Override
from holdfast.domain.downstream_policy import Policies
from holdfast.domain.errors import HandlerError, RedisUnavailable, Rejected, TryLater
from holdfast.engine.downstreams import PooledDownstreams
from holdfast.engine.evidence import CallUnderWay
from holdfast.ports.downstreams import Evidence, NotNow, Told, Verdict, Worker
from holdfast.ports.egress import Forbidden, TooLarge, Unreachable

NAME = "webhook:hooks.example.com"


class Counted(MemoryBreakers):
    """Breakers that count their questions, and can be away."""

    away = False
    asked = refused = 0
    told: list[int]
    answers_after: asyncio.Event | None = None

    def __init__(self, policies: Policies, clock: FakeTime) -> None:
        super().__init__(policies, clock)
        self.told = []

    async def admit(self, name: str, ask: Ask) -> Verdict:
        if self.answers_after is not None:
            await self.answers_after.wait()
        if self.away:
            self.refused += 1
            raise RedisUnavailable("away")
        self.asked += 1
        return await super().admit(name, ask)

    async def tell(self, worker: Worker, alive: int, evidence: Sequence[Evidence]) -> Told:
        if self.away:
            raise RedisUnavailable("away")
        self.told.append(sum(one.report.calls for one in evidence))
        return await super().tell(worker, alive, evidence)


@dataclass
class World:
    """A process with its breakers, and one clock for all of them."""

    time: FakeTime = field(default_factory=FakeTime)
    policies: Policies = field(default_factory=Policies)
    most: int = 8

    def __post_init__(self) -> None:
        self.shared = Counted(self.policies, self.time)
        self.own = MemoryBreakers(self.policies, self.time)
        self.process = self.another("a:1")

    def another(self, instance: str) -> PooledDownstreams:
        """One more process of the pool."""
        return PooledDownstreams(
            self.shared, self.own, self.policies, beating(instance),
            most=self.most, clock=lambda: self.time.at / 1000, draw=lambda: 0.0,
        )  # fmt: skip

    async def call(self, status: int = 200, *, by: PooledDownstreams | None = None, takes_ms: int = 20) -> None:
        async with (by or self.process).call(NAME) as call:
            self.time.pass_by(takes_ms)
            call.answered(status)

    async def sicken(self, *processes: PooledDownstreams) -> None:
        """Each of them sees it fail, until it opens."""
        for _ in range(10):
            for process in processes:
                try:
                    await self.call(503, by=process)
                except NotNow:
                    return
                await process.tell()


@pytest.fixture
def world() -> World:
    return World()


async def test_a_busy_healthy_destination_costs_one_question_a_second(world: World) -> None:
    for _ in range(500):
        await world.call(takes_ms=20)
    assert world.shared.asked == 10, "500 calls in 10 seconds"
    assert world.shared.told == []
    await world.process.tell()
    assert world.shared.told == [500], "what came of them rides on the heartbeat"


async def test_when_an_answer_has_grown_old_one_asks_for_all_that_come_together(world: World) -> None:
    await world.call()
    world.time.pass_by(2_000)
    world.shared.answers_after = asyncio.Event()
    together = [asyncio.create_task(world.call()) for _ in range(5)]
    await asyncio.sleep(0)
    together[1].cancel()
    await asyncio.sleep(0)
    world.shared.answers_after.set()
    assert [type(ended) for ended in await asyncio.gather(*together, return_exceptions=True)].count(type(None)) == 4
    assert world.shared.asked == 2


async def test_who_waited_for_another_question_asks_when_its_answer_was_for_that_one_alone(world: World) -> None:
    await world.call()
    world.time.pass_by(2_000)
    world.shared.away, world.shared.answers_after = True, asyncio.Event()
    together = [asyncio.create_task(world.call()) for _ in range(3)]
    await asyncio.sleep(0)
    world.shared.answers_after.set()
    await asyncio.gather(*together)
    assert world.shared.refused == 3


async def test_a_quiet_healthy_destination_costs_one_question_a_job(world: World) -> None:
    for _ in range(20):
        await world.call()
        world.time.pass_by(30_000)
    assert (world.shared.asked, world.shared.told) == (20, [])


async def test_after_a_failure_the_next_call_asks(world: World) -> None:
    await world.call()
    await world.call(503)
    await world.call()
    assert world.shared.asked == 2


async def test_an_open_breaker_is_asked_about_once_a_second_however_many_jobs_come(world: World) -> None:
    await world.sicken(world.process, world.another("b:1"))
    before = world.shared.asked
    for _ in range(1_000):
        with pytest.raises(NotNow) as caught:
            await world.call()
        assert caught.value.reason is Reason.OPEN
        assert timedelta(0) < caught.value.wait <= timedelta(seconds=32)
    assert world.shared.asked <= before + 1


async def test_what_one_process_found_out_stops_the_others(world: World) -> None:
    await world.sicken(world.process, world.another("b:1"))
    with pytest.raises(NotNow, match="may not be called now: it has been failing"):
        await world.call(by=world.another("c:1"))


async def test_without_redis_each_process_has_its_own_breaker(world: World) -> None:
    world.shared.away = True
    for _ in range(10):
        await world.call(503)
        await world.process.tell()
    with pytest.raises(NotNow):
        await world.call()
    assert (await world.own.look(NAME)).state is CircuitState.OPEN


async def test_what_was_refused_before_redis_went_away_stays_refused_until_its_time(world: World) -> None:
    await world.sicken(world.process, world.another("b:1"))
    with pytest.raises(NotNow):
        await world.call()
    world.shared.away = True
    world.time.pass_by(2_000)
    with pytest.raises(NotNow):
        await world.call()
    world.time.pass_by(10_000)
    await world.call()


async def test_when_redis_is_back_the_shared_breaker_decides_again(world: World) -> None:
    world.shared.away = True
    for _ in range(10):
        await world.call(503)
        await world.process.tell()
    world.shared.away = False
    await world.call()
    assert world.shared.asked == 1


async def test_evidence_that_could_not_be_told_is_not_lost_on_the_own_breaker(world: World) -> None:
    for _ in range(9):
        await world.call(503)
    world.shared.away = True
    await world.process.tell()
    await world.call(503)
    await world.process.tell()
    assert (await world.own.look(NAME)).state is CircuitState.OPEN


async def test_the_heartbeat_goes_on_while_redis_is_away_and_says_how_many_are_busy(world: World) -> None:
    async with world.process.reporting(lambda: 7):
        assert [worker.busy for worker in await world.shared.workers()] == [7]


async def test_a_forced_open_breaker_is_obeyed_within_a_second(world: World) -> None:
    await world.call()
    await world.shared.override(NAME, Override(Forced.OPEN, world.time.at + 60_000, "maintenance", "ada", 0))
    world.time.pass_by(1_000)
    with pytest.raises(NotNow, match="an operator has stopped the calls to it"):
        await world.call()


async def test_a_destination_that_hangs_leaves_half_of_the_slots_to_the_others(world: World) -> None:
    go, inside = asyncio.Event(), 0

    async def hang() -> None:
        nonlocal inside
        async with world.process.call(NAME):
            inside += 1
            await go.wait()

    hanging = [asyncio.create_task(hang()) for _ in range(8)]
    await asyncio.sleep(0)
    await _until(lambda: inside == 8)
    world.time.pass_by(1_001)
    with pytest.raises(NotNow) as caught:
        await world.call()
    assert caught.value.reason is Reason.FULL
    async with world.process.call("webhook:healthy.example"):
        pass
    go.set()
    await asyncio.gather(*hanging)


async def test_who_finds_a_healthy_destination_full_waits_a_moment_and_is_not_parked(world: World) -> None:
    at_once = most = 0

    async def short() -> None:
        nonlocal at_once, most
        async with world.process.call(NAME):
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.001)
            at_once -= 1

    await asyncio.gather(*(short() for _ in range(100)))
    assert most == 8


async def test_a_job_that_is_cancelled_while_it_waits_takes_no_place_with_it(world: World) -> None:
    go = asyncio.Event()

    async def hold() -> None:
        async with world.process.call(NAME):
            await go.wait()

    tasks = [asyncio.create_task(hold()) for _ in range(9)]
    await asyncio.sleep(0.01)
    tasks[8].cancel()
    go.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert world.process._bulkhead.taken(NAME) == 0


def said(*, status: int | None = None, raised: BaseException | None = None, takes: float = 0.1) -> Report:
    call = CallUnderWay(0.0)
    if status is not None:
        call.answered(status)
    call.ended(raised)
    return call.report(takes, slow_ms=10_000, epoch=0, leases=())


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 404, 410, 422, 500, 501])
def test_whoever_answers_is_well(status: int) -> None:
    assert said(status=status) == Report(0, ok=1, latency_ms=100)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_answer_that_says_cannot_is_its_fault(status: int) -> None:
    report = said(status=status)
    assert (report.failures, report.refusals, report.timeouts) == (1, int(status == 429), int(status == 504))


@pytest.mark.parametrize(
    ("error", "timeouts"),
    [
        (Unreachable("…", error="ConnectionRefused"), 0),
        (Unreachable("…", error="ReadTimeout"), 1),
        (TryLater("…"), 0),
        (TimeoutError(), 1),
        (ConnectionResetError(), 0),
    ],
)
def test_what_cannot_be_reached_or_takes_too_long_is_its_fault(error: Exception, timeouts: int) -> None:
    assert said(raised=error) == Report(0, failures=1, timeouts=timeouts)


@pytest.mark.parametrize(
    "error", [Rejected("…"), Forbidden("…"), TooLarge("…"), HandlerError("…"), KeyError("…"), asyncio.CancelledError()]
)
def test_what_is_the_inputs_fault_or_ours_says_nothing(error: BaseException) -> None:
    assert said(raised=error) == Report(0)


def test_the_first_word_counts() -> None:
    assert said(status=404, raised=TryLater("…")) == Report(0, ok=1, latency_ms=100)


def test_a_slow_answer_is_slow_and_so_is_a_call_that_was_ended_for_it() -> None:
    assert said(status=200, takes=10.0) == Report(0, slow=1, latency_ms=10_000)
    assert said(raised=asyncio.CancelledError(), takes=10.0).slow == 1
    assert said(raised=Rejected("…"), takes=10.0) == Report(0)


def test_a_wait_that_was_asked_for_is_passed_on() -> None:
    assert said(raised=TryLater("…", after=timedelta(seconds=9))).retry_after_ms == 9_000


async def _until(true: object) -> None:
    async with asyncio.timeout(5):
        while not true():  # type: ignore[operator]
            await asyncio.sleep(0)
