"""A worker that stops, is taken over, or loses its ledger in the middle of an attempt."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_world import World
from one_ticket import ACK, DEAD_LETTER, GIVE_BACK, answering, run

from holdfast.domain.attempt import AttemptState, Bury, Outcome, Retry, Succeeded
from holdfast.domain.job import JobState
from holdfast.engine.execute import Disposition
from holdfast.ports.handler import Context
from ledger_world import BROKEN, FATAL, LEASE, granted, ticket_of

pytestmark = pytest.mark.usefixtures("impatient")


def blocking(world: World) -> asyncio.Event:
    """A handler that never ends; the event says when it has begun."""
    begun = asyncio.Event()

    async def act(context: Context, payload: Any) -> Outcome:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    world.echo.act = act
    return begun


async def test_a_worker_that_stops_after_the_effect_still_records_it(world: World) -> None:
    job = await world.accepted()
    writing, go = asyncio.Event(), asyncio.Event()

    async def slowly() -> None:
        writing.set()
        await go.wait()

    world.ledger.before_settle = slowly
    task = asyncio.create_task(run(world, job))
    await writing.wait()
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    assert await task is ACK
    assert (await world.job(job)).state is JobState.SUCCEEDED


async def test_a_stopping_worker_gives_the_attempt_back_unspent(world: World) -> None:
    job = await world.accepted()
    begun = blocking(world)
    task = asyncio.create_task(run(world, job))
    await begun.wait()
    task.cancel()
    assert await task is GIVE_BACK
    now = await world.job(job)
    assert (now.state, now.attempt) == (JobState.QUEUED, 1)
    [attempt] = await world.ledger.attempts(job.id)
    assert (attempt.state, attempt.deliveries) == (AttemptState.RETURNED, 0)
    world.echo.act = None
    assert await run(world, job, redelivered=True) is ACK
    assert (await world.job(job)).state is JobState.SUCCEEDED


async def test_a_worker_that_stops_while_the_ledger_is_away_still_returns_the_message(world: World) -> None:
    job = await world.accepted()
    begun = blocking(world)
    task = asyncio.create_task(run(world, job))
    await begun.wait()
    world.ledger.away.calls = -1
    task.cancel()
    assert await task is GIVE_BACK
    world.ledger.away.calls = 0
    world.echo.act = None
    assert await run(world, job, redelivered=True) is ACK, "the redelivery takes the claim over"


async def test_the_outcome_of_a_worker_that_was_taken_over_is_void(world: World) -> None:
    job = await world.accepted()

    async def lose(context: Context, payload: Any) -> Outcome:
        granted(await world.ledger.claim(ticket_of(job, redelivered=True), "there:2", LEASE))
        return Succeeded({"by": "the first"})

    world.echo.act = lose
    assert await run(world, job) is ACK
    now = await world.job(job)
    assert (now.state, now.result) == (JobState.RUNNING, None)


async def test_the_message_of_a_job_that_died_meanwhile_is_dead_lettered(world: World) -> None:
    job = await world.accepted()

    async def die(context: Context, payload: Any) -> Outcome:
        await world.ledger.bury(job.id, 1, FATAL)
        return Succeeded({})

    world.echo.act = die
    assert await run(world, job) is DEAD_LETTER


@pytest.mark.parametrize(
    ("outcome", "disposition"), [(Succeeded({}), ACK), (Retry(BROKEN), ACK), (Bury(FATAL), DEAD_LETTER)], ids=str
)
async def test_a_settlement_whose_answer_was_lost_counts_once(
    world: World, outcome: Outcome, disposition: Disposition
) -> None:
    job = await world.accepted()
    answering(world, outcome)
    world.ledger.mute_settle.calls = 1
    assert await run(world, job) is disposition
    assert len(await world.ledger.attempts(job.id)) == 1
    waiting = [row.attempt for row in world.ledger.outbox.values()]
    assert waiting == ([2] if isinstance(outcome, Retry) else []), "the steward publishes what was to follow"


async def test_a_ledger_that_is_away_at_the_claim_is_waited_for(world: World) -> None:
    job = await world.accepted()
    world.ledger.away.calls = 3
    assert await run(world, job) is GIVE_BACK
    assert (world.ledger.away.calls, world.ledger.away.seen) == (0, 3), "the slot was held until it answered"
    assert await run(world, job, redelivered=True) is ACK


async def test_a_ledger_that_stays_away_at_the_claim_costs_no_delivery(world: World) -> None:
    job = await world.accepted()
    world.ledger.away.calls = -1
    assert await run(world, job) is GIVE_BACK
    world.ledger.away.calls = 0
    assert await world.ledger.attempts(job.id) == []


async def test_an_outcome_waits_for_a_ledger_that_comes_back(world: World) -> None:
    job = await world.accepted()

    async def then_away(context: Context, payload: Any) -> Outcome:
        world.ledger.away.calls = 3
        return Succeeded({"said": "once"})

    world.echo.act = then_away
    assert await run(world, job) is ACK
    assert (await world.job(job)).state is JobState.SUCCEEDED
    assert len(world.echo.contexts) == 1


async def test_an_outcome_that_cannot_be_written_gives_the_ticket_back(world: World) -> None:
    job = await world.accepted()

    async def then_away(context: Context, payload: Any) -> Outcome:
        world.ledger.away.calls = -1
        return Succeeded({})

    world.echo.act = then_away
    assert await run(world, job) is GIVE_BACK
    world.ledger.away.calls = 0
    world.echo.act = None
    assert await run(world, job, redelivered=True) is ACK
    assert (await world.job(job)).state is JobState.SUCCEEDED
