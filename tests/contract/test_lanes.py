"""Lanes: of each at most one job is under way, and the others follow in the order of their acceptance."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from ledger_stores import Stores

from holdfast.adapters.postgres.database import Database
from holdfast.domain.attempt import Bury, Outcome, Park, Refusal, Retry, Succeeded
from holdfast.domain.envelope import Envelope
from holdfast.domain.job import Job, JobState
from holdfast.domain.lane import UNDER_WAY
from ledger_world import BROKEN, FATAL, LEASE, make_letter, settlement, ticket_of

HOUR = timedelta(hours=1)


async def states(stores: Stores, jobs: Sequence[Job]) -> list[str]:
    return [(await stores.now(job)).state.value for job in jobs]


async def released(stores: Stores, lane: str) -> list[Envelope]:
    return [ticket for ticket in await stores.outbox.release([lane]) if ticket.kind]


async def three(stores: Stores) -> list[Job]:
    jobs = [stores.new(lane=f"{stores.tenant}/a") for _ in range(3)]
    for job in jobs:
        await stores.ledger.accept([job])
    return jobs


@pytest.fixture
def lane(stores: Stores) -> str:
    return f"{stores.tenant}/a"


async def test_a_job_of_a_lane_is_accepted_without_a_ticket(stores: Stores, lane: str) -> None:
    job = await stores.accepted(lane=lane)
    assert (job.state, job.lane) == (JobState.BLOCKED, lane)
    assert await stores.rows(job) == []
    assert await stores.ledger.claim(ticket_of(job), "w", LEASE) is Refusal.SETTLED


async def test_the_first_begins_and_no_other_while_it_is_under_way(stores: Stores, lane: str) -> None:
    jobs = await three(stores)
    [ticket] = await released(stores, lane)
    assert ticket.job_id == jobs[0].id
    assert ticket in await stores.rows(jobs[0]), "the row is committed"
    assert await released(stores, lane) == []
    assert await states(stores, jobs) == ["queued", "blocked", "blocked"]


@pytest.mark.parametrize("outcome", [Retry(BROKEN), Retry(BROKEN, after=HOUR), Park(HOUR, "busy")])
async def test_a_job_that_waits_for_its_next_attempt_keeps_the_lane(
    stores: Stores, lane: str, outcome: Outcome
) -> None:
    jobs = await three(stores)
    await stores.outbox.release([lane])
    claim = await stores.claimed(jobs[0])
    await stores.ledger.settle(claim, settlement(claim, outcome))
    assert await released(stores, lane) == []
    assert await states(stores, jobs) == ["waiting", "blocked", "blocked"]


@pytest.mark.parametrize("outcome", [Succeeded({}), Bury(FATAL)])
async def test_when_it_has_ended_the_next_begins(stores: Stores, lane: str, outcome: Outcome) -> None:
    jobs = await three(stores)
    await stores.outbox.release([lane])
    claim = await stores.claimed(jobs[0])
    await stores.ledger.settle(claim, settlement(claim, outcome))
    assert lane in await stores.outbox.stalled(100_000)
    [ticket] = await released(stores, lane)
    assert ticket.job_id == jobs[1].id
    assert lane not in await stores.outbox.stalled(100_000)


async def test_a_job_that_is_cancelled_behind_others_is_left_out(stores: Stores, lane: str) -> None:
    jobs = await three(stores)
    await stores.outbox.release([lane])
    await stores.ledger.cancel(stores.tenant, jobs[1].id)
    await stores.ledger.cancel(stores.tenant, jobs[0].id)
    [ticket] = await released(stores, lane)
    assert ticket.job_id == jobs[2].id


async def test_a_job_that_is_not_due_yet_holds_its_lane_and_then_begins(stores: Stores, lane: str) -> None:
    jobs = [stores.new(lane=lane, delay=HOUR), stores.new(lane=lane)]
    await stores.ledger.accept(jobs[:1])
    await stores.ledger.accept(jobs[1:])
    assert await released(stores, lane) == []
    assert await states(stores, jobs) == ["scheduled", "blocked"]
    assert (await stores.now(jobs[0])).due_at is not None
    assert await released(stores, lane) == []


async def test_a_job_whose_time_came_while_it_was_blocked_begins_at_once(stores: Stores, lane: str) -> None:
    job = stores.new(lane=lane, now=datetime.now(UTC) - HOUR, delay=timedelta(minutes=1))
    await stores.ledger.accept([job])
    [ticket] = await released(stores, lane)
    assert ticket.job_id == job.id
    assert (await stores.now(job)).due_at is None


async def test_a_replayed_job_comes_behind_all_that_the_lane_has(stores: Stores, lane: str) -> None:
    jobs = await three(stores)
    await stores.outbox.release([lane])
    claim = await stores.claimed(jobs[0])
    await stores.ledger.settle(claim, settlement(claim, Bury(FATAL)))
    letter = make_letter(await stores.now(jobs[0]))
    await stores.dead_letters.archive([letter])
    replayed = await stores.dead_letters.replay(letter.id, None)
    assert replayed is not None
    assert (replayed.envelope, replayed.lane) == (None, lane)
    assert await states(stores, jobs) == ["blocked", "blocked", "blocked"]
    order = []
    for _ in range(3):
        [ticket] = await released(stores, lane)
        order.append(ticket.job_id)
        claim = await stores.claimed(await stores.now(next(job for job in jobs if job.id == ticket.job_id)))
        await stores.ledger.settle(claim, settlement(claim, Succeeded({})))
    assert order == [jobs[1].id, jobs[2].id, jobs[0].id]


async def test_lanes_do_not_wait_for_each_other(stores: Stores) -> None:
    lanes = [f"{stores.tenant}/{name}" for name in "abc"]
    for name in lanes:
        await stores.ledger.accept([stores.new(lane=name), stores.new(lane=name)])
    assert len(await stores.outbox.release([*lanes, *lanes])) == 3
    assert [ticket for name in lanes for ticket in await released(stores, name)] == []


async def test_of_two_accepted_one_after_the_other_the_first_is_first_whatever_their_ids_say(
    stores: Stores, lane: str
) -> None:
    late, early = stores.new(lane=lane, now=datetime.now(UTC) + HOUR), stores.new(lane=lane)
    await stores.ledger.accept([late])
    await stores.ledger.accept([early])
    [ticket] = await released(stores, lane)
    assert ticket.job_id == late.id, "the clock of an api process does not decide"


async def test_whoever_comes_and_goes_at_once_nobody_is_forgotten_and_nobody_overtakes(database: Database) -> None:
    """Acceptors and workers at once: of every lane at most one job runs, in order, and at rest none is stalled."""
    stores = Stores.in_postgres(database)
    lanes = [f"{stores.tenant}/{number}" for number in range(4)]
    running: dict[str, int] = dict.fromkeys(lanes, 0)
    ended: list[Job] = []
    accepted: dict[str, list[tuple[float, Job, float]]] = {name: [] for name in lanes}
    """When each was posted, and when that was answered."""
    ran: dict[str, list[Job]] = {name: [] for name in lanes}
    tickets: asyncio.Queue[Envelope] = asyncio.Queue()

    async def advance(name: str) -> None:
        for ticket in await stores.outbox.release([name]):
            tickets.put_nowait(ticket)

    async def accept(number: int) -> None:
        name = lanes[number % len(lanes)]
        for _ in range(10):
            posted = time.monotonic()
            job = await stores.accepted(lane=name)
            accepted[name].append((posted, job, time.monotonic()))
            await advance(name)

    async def work() -> None:
        while True:
            ticket = await tickets.get()
            job = await stores.ledger.any_job(ticket.job_id)
            assert job is not None
            claim = await stores.claimed(job)
            name = str(job.lane)
            running[name] += 1
            assert running[name] == 1, "one at a time"
            ran[name].append(job)
            running[name] -= 1
            await stores.ledger.settle(claim, settlement(claim, Succeeded({})))
            await advance(name)
            ended.append(job)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    async with asyncio.timeout(60):
        await asyncio.gather(*map(accept, range(8)))
        while len(ended) < 80:
            assert not any(worker.done() for worker in workers), "a worker failed"
            await asyncio.sleep(0.01)
    for worker in workers:
        worker.cancel()
    for name in lanes:
        place = {job.id: number for number, job in enumerate(ran[name])}
        for (_, earlier, answered), (posted, later, _) in permutations(accepted[name], 2):
            if answered < posted:
                assert place[earlier.id] < place[later.id], "one that was accepted before the other was posted"
        assert not [job for _, job, _ in accepted[name] if (await stores.now(job)).state in UNDER_WAY]


async def test_those_accepted_together_have_their_turns_in_that_order_whatever_their_keys_say(
    stores: Stores, lane: str
) -> None:
    jobs = [stores.new(lane=lane, key=key) for key in ("c", "a", "b")]
    await stores.ledger.accept(jobs)
    for job in jobs:
        [ticket] = await released(stores, lane)
        assert ticket.job_id == job.id
        claim = await stores.claimed(job)
        await stores.ledger.settle(claim, settlement(claim, Succeeded({})))
