"""The census, the replacement of lost tickets, and forgetting: the same in memory and in Postgres.

Jobs of other tests are in the same database, so each test compares what it counts before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from ledger_stores import Stores

from holdfast.adapters.memory.census import MemoryCensus
from holdfast.adapters.memory.dead_letters import MemoryDeadLetters
from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.adapters.memory.retention import MemoryRetention
from holdfast.adapters.postgres.census import PostgresCensus
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.retention import PostgresRetention
from holdfast.domain.attempt import Park, Retry, Succeeded
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.job import Job, JobState
from holdfast.ports.census import LedgerCensus, LedgerCount, Place
from holdfast.ports.retention import Retention
from ledger_world import BROKEN, LEASE, LOST, ticket_of

NOW = timedelta(0)
HOUR = timedelta(hours=1)
Age = Callable[[Job, timedelta], Coroutine[Any, Any, None]]


@dataclass(kw_only=True)
class World(Stores):
    census: LedgerCensus
    retention: Retention
    age: Age
    """Makes everything that happened to a job so much older."""

    async def sent(self, **changes: Any) -> Job:
        """A job whose ticket the broker has confirmed."""
        job = await self.accepted(**changes)
        await self.outbox.confirmed(await self.rows(job))
        return job


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "postgres":
        return _in_postgres(request.getfixturevalue("database"))
    return _in_memory(Stores.in_memory())


def _in_memory(stores: Stores) -> World:
    ledger, letters = stores.ledger, stores.dead_letters
    assert isinstance(ledger, MemoryLedger)
    assert isinstance(letters, MemoryDeadLetters)

    async def age(job: Job, by: timedelta) -> None:
        from dataclasses import replace

        record = ledger.records[job.id]
        record.since -= by
        finished = record.job.finished_at
        record.job = replace(record.job, finished_at=finished and finished - by)
        for key, ticket in ledger.outbox.items():
            if key[0] == job.id:
                ledger.outbox[key] = replace(ticket, enqueued_at=ticket.enqueued_at - by)
        for letter in list(letters.letters.values()):
            if letter.job_id == job.id:
                dropped = letter.dropped_at and letter.dropped_at - by
                letters.letters[letter.id] = replace(letter, dropped_at=dropped)

    census, retention = MemoryCensus(ledger, letters), MemoryRetention(ledger, letters)
    return World(ledger, ledger, letters, stores.endpoints, census=census, retention=retention, age=age)


def _in_postgres(database: Database) -> World:
    stores = Stores.in_postgres(database)

    async def age(job: Job, by: timedelta) -> None:
        for statement in (
            "UPDATE jobs SET since = since - $2::interval, finished_at = finished_at - $2::interval WHERE id = $1",
            "UPDATE outbox SET created_at = created_at - $2::interval WHERE job_id = $1",
            "UPDATE dead_letters SET dropped_at = dropped_at - $2::interval WHERE job_id = $1",
        ):
            await database.all(statement, job.id, by)

    return World(
        stores.ledger,
        stores.outbox,
        stores.dead_letters,
        stores.endpoints,
        census=PostgresCensus(database),
        retention=PostgresRetention(database),
        age=age,
    )


def home(count: LedgerCount, queue: str = "image") -> int:
    return count.bulkheads[queue].home


async def test_every_open_job_is_counted_in_one_place(world: World) -> None:
    before = await world.census.count(NOW)
    await world.accepted()
    await world.sent()
    await world.accepted(delay=HOUR)
    await world.accepted(lane=world.tenant)
    await world.settled(Park(HOUR, "later"))
    await world.running()
    await world.running(lease=LOST)
    await world.settled(Succeeded({}))
    _, letter = await world.died()
    after = await world.census.count(NOW)
    assert {place: after.places[place] - before.places[place] for place in Place} == {
        Place.OUTBOX: 1,
        Place.BROKER: 1,
        Place.LANE: 1,
        Place.TIMER: 2,
        Place.LEASE: 1,
        Place.RESCUE: 1,
    }
    changes = {state: after.states[state] - before.states[state] for state in after.states}
    assert {state: change for state, change in changes.items() if change} == {
        JobState.BLOCKED: 1,
        JobState.SCHEDULED: 1,
        JobState.QUEUED: 2,
        JobState.WAITING: 1,
        JobState.RUNNING: 2,
        JobState.DEAD: 1,
    }
    reason = DeadReason(letter.reason)
    assert after.open_letters.get(reason, 0) - before.open_letters.get(reason, 0) == 1
    assert after.outbox_rows > before.outbox_rows
    assert after.outbox_oldest > NOW


async def test_a_job_is_expected_in_the_work_queue_once_it_has_stood_long_enough(world: World) -> None:
    before = await world.census.count(HOUR)
    job, claim = await world.sent(queue="pdf"), await world.running(queue="pdf")
    assert (await world.census.count(HOUR)).bulkheads == before.bulkheads
    await world.age(job, 2 * HOUR)
    await world.age(claim.job, 2 * HOUR)
    after = await world.census.count(HOUR)
    assert home(after, "pdf") - home(before, "pdf") == 1
    assert after.bulkheads["pdf"].running - before.bulkheads["pdf"].running == 1


async def test_a_waiting_job_is_expected_when_the_longest_retry_queue_must_have_let_it_go(world: World) -> None:
    before = home(await world.census.count(NOW))
    claim = await world.settled(Retry(BROKEN))
    await world.outbox.confirmed(await world.rows(claim.job))
    await world.age(claim.job, timedelta(seconds=33))  # of 41.6
    assert home(await world.census.count(NOW)) == before
    await world.age(claim.job, timedelta(seconds=9))
    assert home(await world.census.count(NOW)) == before + 1


async def test_a_late_confirm_starts_the_time_of_its_ticket_anew_and_a_prompt_one_does_not(world: World) -> None:
    before = home(await world.census.count(HOUR), "custom")
    late = await world.accepted(queue="custom")
    await world.age(late, 2 * HOUR)
    await world.outbox.confirmed(await world.rows(late))
    assert home(await world.census.count(HOUR), "custom") == before
    prompt = await world.accepted(queue="custom")
    rows = await world.rows(prompt)
    await world.outbox.confirmed(rows)
    await world.age(prompt, 2 * HOUR)
    await world.outbox.confirmed(rows)
    assert home(await world.census.count(HOUR), "custom") == before + 1


async def test_lost_tickets_are_replaced_oldest_first_and_count_as_new(world: World) -> None:
    jobs = [await world.sent(queue="webhook") for _ in range(3)]
    for hours, job in zip((1000, 3000, 2000), jobs, strict=True):
        await world.age(job, hours * HOUR)
    tickets = await world.outbox.replace("webhook", 900 * HOUR, 2)
    assert [ticket.job_id for ticket in tickets] == [jobs[1].id, jobs[2].id]
    assert [(ticket.attempt, ticket.route.routing_key) for ticket in tickets] == [(1, "webhook")] * 2
    assert len(await world.rows(jobs[1])) == 1
    assert [ticket.job_id for ticket in await world.outbox.replace("webhook", 900 * HOUR, 9)] == [jobs[0].id]
    assert await world.outbox.replace("webhook", 900 * HOUR, 9) == []


async def test_a_waiting_job_gets_the_ticket_of_the_attempt_it_waits_for(world: World) -> None:
    claim = await world.settled(Retry(BROKEN), queue="webhook")
    await world.outbox.confirmed(await world.rows(claim.job))
    await world.age(claim.job, 1000 * HOUR)
    [ticket] = await world.outbox.replace("webhook", 900 * HOUR, 9)
    assert (ticket.job_id, ticket.attempt) == (claim.job.id, 2)
    assert (await world.now(claim.job)).state is JobState.QUEUED


async def test_neither_running_nor_timed_nor_unsent_nor_ended_jobs_get_a_new_ticket(world: World) -> None:
    jobs = [
        (await world.running(queue="webhook")).job,
        await world.accepted(queue="webhook", delay=HOUR),
        await world.accepted(queue="webhook"),
        (await world.settled(Succeeded({}), queue="webhook")).job,
    ]
    for job in jobs:
        await world.age(job, 1000 * HOUR)
    assert await world.outbox.replace("webhook", 900 * HOUR, 9) == []


async def test_the_first_ticket_of_a_job_that_got_a_second_is_as_good(world: World) -> None:
    job = await world.sent(queue="webhook")
    await world.age(job, 1000 * HOUR)
    await world.outbox.replace("webhook", 900 * HOUR, 9)
    await world.claimed(job)
    assert not hasattr(await world.ledger.claim(ticket_of(job), "w2", LEASE), "token"), "the copy is refused"


async def test_unknown_ids_are_told_from_known_ones(world: World) -> None:
    job, nobody = await world.accepted(), uuid4()
    assert await world.census.unknown([job.id, nobody]) == {nobody}


async def forgettable(world: World, *jobs: Job) -> set[Any]:
    found = await world.retention.expired(500 * HOUR, 1500 * HOUR, 100_000)
    return {job.id for job in jobs} & set(found)


def ancient(world: World) -> Any:
    """When a job was accepted that may be forgotten: the ids of the others are too young."""
    from datetime import UTC, datetime

    return datetime.now(UTC) - 3000 * HOUR


async def test_what_ended_long_enough_ago_expires_and_what_is_open_never_does(world: World) -> None:
    old = ancient(world)
    succeeded = (await world.settled(Succeeded({}), now=old)).job
    young = (await world.settled(Succeeded({}), now=old)).job
    queued = await world.accepted(now=old)
    running = (await world.running(now=old)).job
    for job in (succeeded, queued, running):
        await world.age(job, 1000 * HOUR)
    assert await forgettable(world, succeeded, young, queued, running) == {succeeded.id}


async def test_a_dead_job_expires_when_its_letter_is_settled_and_its_own_time_is_over(world: World) -> None:
    job, letter = await world.died(now=ancient(world))
    await world.age(job, 1000 * HOUR)
    assert await forgettable(world, job) == set(), "kept longer than succeeded ones"
    await world.age(job, 1000 * HOUR)
    assert await forgettable(world, job) == set(), "its letter is open"
    await world.dead_letters.drop(letter.id, "me", "test")
    assert await forgettable(world, job) == {job.id}
    assert await world.retention.forget_letters(1500 * HOUR, 100) == 0
    await world.age(job, 2000 * HOUR)
    assert await world.retention.forget_letters(1500 * HOUR, 100) == 1
    assert await world.dead_letters.get(letter.id) is None


async def test_a_forgotten_job_is_gone_with_its_attempts_its_rows_and_its_key(world: World) -> None:
    claim = await world.settled(Succeeded({}))
    job = await world.now(claim.job)
    assert await world.retention.forget([job.id]) == 1
    assert await world.ledger.any_job(job.id) is None
    assert await world.ledger.attempts(job.id) == []
    assert await world.rows(job) == []
    again = await world.accepted(key=job.idempotency_key)
    assert again.id != job.id


async def test_an_open_job_is_not_forgotten_even_when_asked(world: World) -> None:
    job = await world.accepted()
    assert await world.retention.forget([job.id]) == 0
    assert (await world.now(job)).state is JobState.QUEUED
