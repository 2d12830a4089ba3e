"""What has just happened, told the same in memory and in Postgres. Each scene has a kind and a priority of its own."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

import pytest
from ledger_stores import Stores

from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.adapters.memory.recent import MemoryRecent
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.recent import PostgresRecent
from holdfast.domain.attempt import AttemptState, Bury, Park, Retry, Succeeded
from holdfast.ports.activity import KindActivity, Recent
from ledger_world import BROKEN, FATAL

WINDOW = timedelta(seconds=60)
NONE = {state: 0 for state in AttemptState if state is not AttemptState.RUNNING}


@dataclass
class World:
    stores: Stores
    recent: Recent
    kind: str

    async def mine(self, window: timedelta = WINDOW) -> KindActivity | None:
        found = await self.recent.activity(window)
        return next((kind for kind in found.kinds if kind.kind == self.kind), None)


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> World:
    kind = f"test.k{secrets.token_hex(4)}"
    if request.param == "memory":
        stores = Stores.in_memory()
        assert isinstance(stores.ledger, MemoryLedger)
        return World(stores, MemoryRecent(stores.ledger), kind)
    database: Database = request.getfixturevalue("database")
    return World(Stores.in_postgres(database), PostgresRecent(database), kind)


async def test_a_kind_to_which_nothing_happened_is_left_out(world: World) -> None:
    await world.stores.running(kind=world.kind)
    assert await world.mine() is None


async def test_ended_attempts_are_told_by_state_and_the_dead_among_them(world: World) -> None:
    for outcome in (Succeeded({}), Succeeded({}), Retry(BROKEN), Park(timedelta(seconds=2), "busy"), Bury(FATAL)):
        await world.stores.settled(outcome, kind=world.kind)
    cancelled = await world.stores.running(kind=world.kind)
    await world.stores.ledger.cancel(world.stores.tenant, cancelled.job.id)
    mine = await world.mine()
    assert mine is not None
    states = {AttemptState.SUCCEEDED: 2, AttemptState.FAILED: 2, AttemptState.PARKED: 1, AttemptState.CANCELLED: 1}
    assert mine.attempts == NONE | states
    assert mine.dead == 1


async def test_run_times_are_of_all_and_latencies_of_the_succeeded(world: World) -> None:
    await world.stores.settled(Retry(BROKEN), kind=world.kind)
    failed = await world.mine()
    assert failed is not None
    assert failed.run is not None
    assert failed.latency is None
    await world.stores.settled(Succeeded({}), kind=world.kind)
    mine = await world.mine()
    assert mine is not None
    assert mine.latency is not None
    assert 0 <= mine.latency.p50 == mine.latency.p99 < 60
    assert 0 <= mine.run.p50 <= mine.run.p95 <= mine.run.p99 < 60 if mine.run else False


async def test_what_ended_before_the_window_is_left_out(world: World) -> None:
    await world.stores.settled(Succeeded({}), kind=world.kind)
    assert await world.mine(timedelta(0)) is None


async def test_accepted_jobs_are_counted_within_the_window(world: World) -> None:
    window = timedelta(days=1)  # nothing of what was there before leaves it meanwhile
    before = (await world.recent.activity(window)).accepted
    for _ in range(3):
        await world.stores.accepted(kind=world.kind)
    assert (await world.recent.activity(window)).accepted >= before + 3


async def test_waiting_jobs_are_told_by_queue_and_priority_the_highest_first(world: World) -> None:
    for priority in (31, 0, 31):
        job = await world.stores.accepted(kind=world.kind, priority=priority, queue="custom")
        await world.stores.age(job, timedelta(hours=priority + 1))
    await world.stores.running(kind=world.kind, priority=31, queue="custom")
    await world.stores.accepted(kind=world.kind, priority=31, queue="custom", delay=timedelta(hours=1))
    waiting = [line for line in await world.recent.waiting() if line.queue == "custom"]
    assert [line.priority for line in waiting] == sorted((line.priority for line in waiting), reverse=True)
    first, last = waiting[0], waiting[-1]
    assert (first.priority, first.jobs, last.priority, last.jobs) == (31, 2, 0, 1)
    assert first.oldest >= timedelta(hours=32)
    assert timedelta(hours=1) <= last.oldest < timedelta(hours=2)
