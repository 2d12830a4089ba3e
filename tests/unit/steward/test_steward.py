"""The steward: leads while it holds the lock, and its loops do what their names say."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import pytest

from harness import soon
from holdfast.adapters.memory.broker import MemoryBroker
from holdfast.adapters.memory.dead_letters import MemoryDeadLetters
from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.domain.attempt import Park, Retry
from holdfast.domain.dead_letter import DeadMessage
from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import BrokerUnavailable, LedgerUnavailable
from holdfast.domain.job import JobState
from holdfast.engine.bury import BuryDead
from holdfast.engine.dispatch import Dispatch
from holdfast.ports.dead_letters import DeadLetterQuery
from holdfast.ports.dead_queue import Delivered
from holdfast.steward import leader, loops
from holdfast.steward.leader import Steward
from holdfast.steward.loops import Loop
from holdfast.telemetry.label_values import LoopName
from ledger_world import BROKEN, FATAL, LOST, FakeClock, granted, make_job, settlement, ticket_of


class Lock:
    """A leadership that the test gives and takes."""

    def __init__(self) -> None:
        self.free, self.ours, self.releases = True, False, 0

    async def acquire(self) -> bool:
        self.ours = self.ours or self.free
        return self.ours

    async def held(self) -> bool:
        return self.ours

    async def release(self) -> None:
        self.ours = False
        self.releases += 1

    def take_away(self) -> None:
        self.ours = self.free = False


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "ELECTION_EVERY", 0.001)


@pytest.fixture
def lock() -> Lock:
    return Lock()


@contextlib.asynccontextmanager
async def running(steward: Steward) -> AsyncIterator[None]:
    task = asyncio.create_task(steward.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Turns:
    """A loop's turns, which raise what the test wants."""

    def __init__(self, *, more: bool = False) -> None:
        self.count, self.more = 0, more
        self.error: Exception | None = None

    async def __call__(self) -> bool:
        self.count += 1
        if self.error:
            error, self.error = self.error, None
            raise error
        return self.more


async def test_whoever_has_the_lock_leads_and_runs_the_loops(lock: Lock) -> None:
    turns = Turns()
    steward = Steward(lock, [Loop(LoopName.RELAY, 0.001, turns)])
    async with running(steward):
        await soon(lambda: turns.count > 2)
        assert steward.leading
    assert not steward.leading
    assert (lock.ours, lock.releases) == (False, 1)


async def test_without_the_lock_no_loop_runs(lock: Lock) -> None:
    lock.free = False
    turns = Turns()
    steward = Steward(lock, [Loop(LoopName.RELAY, 0.001, turns)])
    asked = 0

    async def acquire() -> bool:
        nonlocal asked
        asked += 1
        return False

    lock.acquire = acquire  # type: ignore[method-assign]
    async with running(steward):
        await soon(lambda: asked > 3)
        assert (steward.leading, turns.count) == (False, 0)


async def test_a_leader_that_lost_the_lock_stops_its_loops_and_stands_again(lock: Lock) -> None:
    turns = Turns()
    steward = Steward(lock, [Loop(LoopName.RELAY, 0.001, turns)])
    async with running(steward):
        await soon(lambda: steward.leading)
        lock.take_away()
        await soon(lambda: not steward.leading)
        stopped_at = turns.count
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert turns.count == stopped_at
        lock.free = True
        await soon(lambda: steward.leading and turns.count > stopped_at)


@pytest.mark.parametrize("error", [LedgerUnavailable("away"), BrokerUnavailable("away")], ids=repr)
async def test_a_dependency_that_is_away_costs_one_turn_and_not_the_term(lock: Lock, error: Exception) -> None:
    turns, terms = Turns(), 0
    turns.error = error
    acquire = lock.acquire

    async def counted() -> bool:
        nonlocal terms
        terms += 1
        return await acquire()

    lock.acquire = counted  # type: ignore[method-assign]
    async with running(Steward(lock, [Loop(LoopName.RELAY, 0.001, turns)])):
        await soon(lambda: turns.count > 2)
    assert terms == 1


async def test_a_defect_in_one_loop_ends_the_term_and_somebody_is_elected_anew(lock: Lock) -> None:
    broken, other = Turns(), Turns()
    broken.error = ZeroDivisionError("a defect")
    async with running(Steward(lock, [Loop(LoopName.RELAY, 0.001, broken), Loop(LoopName.ARCHIVE, 0.001, other)])):
        await soon(lambda: broken.count > 2)


async def test_a_loop_with_more_to_do_does_not_wait_for_its_time(lock: Lock) -> None:
    busy, idle = Turns(more=True), Turns()
    async with running(Steward(lock, [Loop(LoopName.RELAY, 3600, busy), Loop(LoopName.ARCHIVE, 3600, idle)])):
        await soon(lambda: busy.count > 10)
    assert idle.count == 1


# -- the loops ----------------------------------------------------------------------------------------------------


class Stores:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.ledger = MemoryLedger(self.clock)
        self.broker = MemoryBroker()
        self.dispatch = Dispatch(self.broker, self.ledger)
        self.dead_letters = MemoryDeadLetters(self.ledger)
        self.bury = BuryDead(self.ledger, self.ledger, self.dead_letters, self.dispatch, self.clock)


@pytest.fixture
def stores() -> Stores:
    return Stores()


class Queue:
    """A dead-letter queue; what is fetched is out until it is acknowledged or let go."""

    def __init__(self, messages: Sequence[DeadMessage]) -> None:
        self.waiting = dict(enumerate(messages, 1))
        self.out: set[int] = set()

    async def fetch(self, limit: int) -> list[Delivered]:
        found = [Delivered(tag, self.waiting[tag]) for tag in self.waiting if tag not in self.out][:limit]
        self.out |= {delivered.tag for delivered in found}
        return found

    async def acknowledge(self, delivered: Delivered) -> None:
        del self.waiting[delivered.tag]
        self.out.remove(delivered.tag)

    async def let_go(self) -> None:
        self.out.clear()


def sent(stores: Stores) -> list[tuple[object, int]]:
    return [(envelope.job_id, envelope.attempt) for envelope in stores.broker.published]


async def test_relay_publishes_rows_that_nobody_confirmed_and_leaves_young_ones(stores: Stores) -> None:
    forgotten, young = make_job(now=stores.clock.now()), make_job(now=stores.clock.now())
    await stores.ledger.accept([forgotten])
    stores.clock.pass_by(seconds=3)
    await stores.ledger.accept([young])
    loop = loops.relay(stores.ledger, stores.dispatch, timedelta(seconds=3))
    assert not await loop.turn()
    assert sent(stores) == [(forgotten.id, 1)]
    assert {row.job_id for row in stores.ledger.outbox.values()} == {young.id}
    await loop.turn()
    assert len(stores.broker.published) == 1


async def test_promote_queues_what_is_due_and_nothing_before(stores: Stores) -> None:
    now = stores.clock.now()
    scheduled = make_job(now=now, delay=timedelta(seconds=60))
    parked = make_job(now=now)
    await stores.ledger.accept([scheduled, parked])
    claim = granted(await stores.ledger.claim(ticket_of(parked), "w", LOST))
    await stores.ledger.settle(claim, settlement(claim, Park(timedelta(minutes=2), "busy")))
    stores.ledger.outbox.clear()
    turn = loops.promote(stores.ledger, stores.dispatch).turn
    await turn()
    assert sent(stores) == []
    stores.clock.pass_by(seconds=60)
    await turn()
    assert sent(stores) == [(scheduled.id, 1)]
    stores.clock.pass_by(seconds=60)
    await turn()
    assert sent(stores) == [(scheduled.id, 1), (parked.id, 2)]


async def test_rescue_gives_a_job_whose_worker_is_lost_a_new_ticket(stores: Stores) -> None:
    job = make_job(now=stores.clock.now())
    await stores.ledger.accept([job])
    await stores.ledger.claim(ticket_of(job), "w", timedelta(seconds=10))
    stores.ledger.outbox.clear()
    turn = loops.rescue(stores.ledger, stores.dispatch, timedelta(seconds=30)).turn
    stores.clock.pass_by(seconds=40)
    await turn()
    assert sent(stores) == []
    stores.clock.pass_by(seconds=1)
    await turn()
    assert sent(stores) == [(job.id, 1)]


async def test_archive_acknowledges_what_it_has_filed_and_keeps_the_rest(stores: Stores) -> None:
    job = make_job(now=stores.clock.now())
    await stores.ledger.accept([job])
    await stores.ledger.bury(job.id, 1, FATAL)
    queue = Queue([DeadMessage(job.id, 1, "rejected", {}, b""), DeadMessage(None, None, None, {}, b"?")])
    filed = stores.dead_letters.archive

    async def fails_on_the_second(letters: Sequence[object]) -> None:
        if queue.waiting.keys() == {2}:
            raise LedgerUnavailable("Postgres went away")
        await filed(letters)  # type: ignore[arg-type]

    stores.dead_letters.archive = fails_on_the_second  # type: ignore[method-assign, assignment]
    loop = loops.archive(queue, stores.bury)
    with pytest.raises(LedgerUnavailable):
        await loop.turn()
    assert set(queue.waiting) == {2}
    stores.dead_letters.archive = filed  # type: ignore[method-assign]
    assert not await loop.turn()
    assert queue.waiting == {}
    assert len(await stores.dead_letters.find(DeadLetterQuery())) == 2


async def test_a_full_turn_asks_for_another_at_once(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "BATCH", 2)
    await stores.ledger.accept([make_job(now=stores.clock.now()) for _ in range(3)])
    turn = loops.relay(stores.ledger, stores.dispatch, timedelta(0)).turn
    assert [await turn(), await turn(), await turn()] == [True, False, False]
    assert len(stores.broker.published) == 3


async def test_a_broker_that_is_away_does_not_make_the_relay_spin(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(envelopes: Sequence[Envelope]) -> list[BrokerUnavailable]:
        return [BrokerUnavailable("RabbitMQ is away")] * len(envelopes)

    monkeypatch.setattr(loops, "BATCH", 1)
    monkeypatch.setattr(stores.broker, "publish_all", away)
    await stores.ledger.accept([make_job(now=stores.clock.now())])
    assert not await loops.relay(stores.ledger, stores.dispatch, timedelta(0)).turn()
    assert len(stores.ledger.outbox) == 1


async def test_a_rescued_job_that_fails_goes_on_as_any_other(stores: Stores) -> None:
    job = make_job(now=stores.clock.now())
    await stores.ledger.accept([job])
    await stores.ledger.claim(ticket_of(job), "w", LOST)
    await loops.rescue(stores.ledger, stores.dispatch, timedelta(0)).turn()
    claim = granted(await stores.ledger.claim(ticket_of(job), "w", timedelta(seconds=10)))
    await stores.ledger.settle(claim, settlement(claim, Retry(BROKEN)))
    found = await stores.ledger.any_job(job.id)
    assert found is not None
    assert (found.state, found.attempt) == (JobState.WAITING, 2)


async def test_the_topology_is_put_back() -> None:
    applied: list[int] = []

    class Topology:
        def apply(self) -> list[str]:
            applied.append(1)
            return ["policy holdfast-work"]

    assert not await loops.keep_topology(Topology()).turn()
    assert applied == [1]
