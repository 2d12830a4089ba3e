"""A running attempt whose claim is void is ended soon; any other goes on, whatever becomes of the ledger."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_world import World

from harness import soon
from holdfast.domain.attempt import AttemptState, Outcome, Succeeded
from holdfast.domain.job import Job, JobState
from holdfast.engine.execute import Disposition
from holdfast.engine.vigil import Vigil
from holdfast.ports.handler import Context
from ledger_world import FATAL, LEASE, granted, ticket_of

ACK, DEAD_LETTER, GIVE_BACK = Disposition.ACK, Disposition.DEAD_LETTER, Disposition.GIVE_BACK


@pytest.fixture(autouse=True)
def often(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come every few milliseconds."""
    monkeypatch.setattr(world.execute, "_vigil", Vigil(world.ledger, every=0.002))


class Blocking:
    """A handler that runs until it is let go; `ended` is how many were cancelled."""

    def __init__(self, world: World) -> None:
        self.begun, self.go, self.ended = asyncio.Event(), asyncio.Event(), 0
        world.echo.act = self.act

    async def act(self, context: Context, payload: Any) -> Outcome:
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ended += 1
            raise
        return Succeeded({"said": "done"})


async def begin(world: World, job: Job, handler: Blocking) -> asyncio.Task[Disposition]:
    handler.begun.clear()
    task = asyncio.create_task(world.execute.execute(ticket_of(job)))
    await asyncio.wait_for(handler.begun.wait(), 10)
    return task


async def test_a_cancelled_attempt_is_ended_and_acknowledged(world: World) -> None:
    job, handler = await world.accepted(), Blocking(world)
    task = await begin(world, job, handler)
    await world.ledger.cancel("acme", job.id)
    assert await asyncio.wait_for(task, 10) is ACK
    assert handler.ended == 1
    assert (await world.job(job)).state is JobState.CANCELLED
    [attempt] = await world.ledger.attempts(job.id)
    assert attempt.state is AttemptState.CANCELLED


async def test_an_attempt_that_was_taken_over_is_ended_and_leaves_the_new_holder_alone(world: World) -> None:
    job, handler = await world.accepted(), Blocking(world)
    task = await begin(world, job, handler)
    taken = granted(await world.ledger.claim(ticket_of(job, redelivered=True), "there:2", LEASE))
    assert await asyncio.wait_for(task, 10) is ACK
    assert handler.ended == 1
    assert await world.ledger.lapsed([taken]) == []


async def test_the_message_of_an_attempt_that_was_buried_is_dead_lettered(world: World) -> None:
    job, handler = await world.accepted(), Blocking(world)
    task = await begin(world, job, handler)
    await world.ledger.bury(job.id, 1, FATAL)
    assert await asyncio.wait_for(task, 10) is DEAD_LETTER


async def test_the_attempts_beside_a_cancelled_one_go_on(world: World) -> None:
    handler = Blocking(world)
    jobs = [await world.accepted() for _ in range(3)]
    tasks = [await begin(world, job, handler) for job in jobs]
    await world.ledger.cancel("acme", jobs[1].id)
    assert await asyncio.wait_for(tasks[1], 10) is ACK
    handler.go.set()
    assert [await asyncio.wait_for(task, 10) for task in tasks] == [ACK] * 3
    states = [(await world.job(job)).state for job in jobs]
    assert states == [JobState.SUCCEEDED, JobState.CANCELLED, JobState.SUCCEEDED]
    assert handler.ended == 1


async def test_a_handler_that_does_not_let_go_is_refused_its_outcome(world: World) -> None:
    job, begun = await world.accepted(), asyncio.Event()

    async def stubborn(context: Context, payload: Any) -> Outcome:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Succeeded({"said": "all the same"})
        raise AssertionError

    world.echo.act = stubborn
    task = asyncio.create_task(world.execute.execute(ticket_of(job)))
    await asyncio.wait_for(begun.wait(), 10)
    await world.ledger.cancel("acme", job.id)
    assert await asyncio.wait_for(task, 10) is ACK
    now = await world.job(job)
    assert (now.state, now.result) == (JobState.CANCELLED, None)


async def test_an_attempt_goes_on_while_the_ledger_is_away(world: World) -> None:
    job, handler = await world.accepted(), Blocking(world)
    task = await begin(world, job, handler)
    world.ledger.away.calls = -1
    await soon(lambda: world.ledger.away.seen >= 3)
    assert not task.done()
    world.ledger.away.calls = 0
    handler.go.set()
    assert await asyncio.wait_for(task, 10) is ACK
    assert (await world.job(job)).state is JobState.SUCCEEDED


async def test_a_cancellation_is_seen_once_the_ledger_is_back(world: World) -> None:
    job, handler = await world.accepted(), Blocking(world)
    task = await begin(world, job, handler)
    world.ledger.away.calls = 3
    await world.ledger.cancel("acme", job.id)
    assert await asyncio.wait_for(task, 10) is ACK
    assert (world.ledger.away.seen, handler.ended) == (3, 1)


async def test_nothing_is_asked_for_short_attempts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    vigil = Vigil(world.ledger, every=1.0)
    monkeypatch.setattr(world.execute, "_vigil", vigil)
    job, handler = await world.accepted(), Blocking(world)
    task = await begin(world, job, handler)
    handler.go.set()
    assert await task is ACK
    await soon(lambda: vigil._watching is None)
    assert world.ledger.looks == []


async def test_one_question_is_about_all_attempts(world: World) -> None:
    handler = Blocking(world)
    jobs = [await world.accepted() for _ in range(3)]
    tasks = [await begin(world, job, handler) for job in jobs]
    world.ledger.looks.clear()
    await soon(lambda: world.ledger.looks)
    assert {claim.job.id for claim in world.ledger.looks[0]} == {job.id for job in jobs}
    handler.go.set()
    await asyncio.gather(*tasks)


async def test_the_watch_ends_with_the_last_attempt_and_begins_again(world: World) -> None:
    handler = Blocking(world)
    for _ in range(2):
        job = await world.accepted()
        handler.go.clear()
        task = await begin(world, job, handler)
        world.ledger.looks.clear()
        await soon(lambda: world.ledger.looks)
        handler.go.set()
        assert await asyncio.wait_for(task, 10) is ACK
        vigil = world.execute._vigil
        await soon(lambda vigil=vigil: vigil._watching is None)  # type: ignore[misc]


async def test_a_stopping_worker_still_gives_the_attempt_back(world: World) -> None:
    job, handler = await world.accepted(), Blocking(world)
    task = await begin(world, job, handler)
    await soon(lambda: world.ledger.looks)
    task.cancel()
    assert await asyncio.wait_for(task, 10) is GIVE_BACK
    assert (await world.job(job)).state is JobState.QUEUED
    [attempt] = await world.ledger.attempts(job.id)
    assert (attempt.state, attempt.deliveries) == (AttemptState.RETURNED, 0)


async def test_a_worker_that_stops_after_a_cancellation_gives_nothing_back(world: World) -> None:
    """Both at once: the job stays cancelled, whichever of the two the attempt hears of first."""
    job, handler = await world.accepted(), Blocking(world)
    task = await begin(world, job, handler)
    await world.ledger.cancel("acme", job.id)
    task.cancel()
    assert await asyncio.wait_for(task, 10) in {ACK, GIVE_BACK}
    assert (await world.job(job)).state is JobState.CANCELLED
    assert await world.execute.execute(ticket_of(job, redelivered=True)) is ACK
