"""The end of a job is told to its callback once, by a job of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from engine_world import World
from one_ticket import ACK, DEAD_LETTER, answering, run

from holdfast.domain.attempt import Bury, Outcome, Park, Retry, Succeeded
from holdfast.domain.job import Job, JobState
from holdfast.engine.execute import Disposition
from holdfast.ports.handler import Context
from ledger_world import BROKEN, FATAL, LEASE, granted, ticket_of

pytestmark = pytest.mark.usefixtures("impatient")

URL = "https://hooks.example.com/done"


async def callbacks(world: World, job: Job) -> list[Job]:
    """The callbacks of the job, by attempt."""
    found = [await world.ledger.job_by_key("acme", f"callback:{job.id}:{attempt}") for attempt in range(1, 10)]
    return [told for told in found if told is not None]


@pytest.mark.parametrize(
    ("outcome", "disposition", "event"),
    [(Succeeded({"n": 1}), ACK, "job.succeeded"), (Bury(FATAL), DEAD_LETTER, "job.dead")],
    ids=["success", "death"],
)
async def test_the_end_of_a_job_is_told_by_a_job_of_its_own(
    world: World, outcome: Outcome, disposition: Disposition, event: str
) -> None:
    job = await world.accepted(callback_url=URL)
    answering(world, outcome)
    assert await run(world, job) is disposition
    await world.dispatch.idle()
    [told] = await callbacks(world, job)
    assert (told.kind, told.state, told.payload["event_type"]) == ("webhook.dispatch", JobState.QUEUED, event)
    assert [(sent.job_id, sent.attempt) for sent in world.broker.published] == [(job.id, 1), (told.id, 1)]
    assert world.ledger.outbox == {}, "its ticket was confirmed"


@pytest.mark.parametrize("outcome", [Retry(BROKEN), Park(timedelta(minutes=5), "busy")], ids=["retry", "park"])
async def test_a_job_that_goes_on_is_not_told_of(world: World, outcome: Outcome) -> None:
    job = await world.accepted(callback_url=URL)
    answering(world, outcome)
    assert await run(world, job) is ACK
    assert await callbacks(world, job) == []


async def test_the_last_of_six_failures_is_told_once(world: World) -> None:
    job = await world.accepted(callback_url=URL)
    answering(world, Retry(BROKEN))
    for _ in range(6):
        await run(world, await world.job(job))
    [told] = await callbacks(world, job)
    assert told.payload["body"]["failure"]["reason"] == "exhausted"


async def test_a_job_without_a_callback_is_followed_by_none(world: World) -> None:
    job = await world.accepted()
    await run(world, job)
    assert list(world.ledger.records) == [job.id]


async def test_a_callback_is_made_once_though_the_answer_of_the_settlement_was_lost(world: World) -> None:
    job = await world.accepted(callback_url=URL)
    world.ledger.mute_settle.calls = 1
    assert await run(world, job) is ACK
    assert await run(world, job, redelivered=True) is ACK
    assert len(await callbacks(world, job)) == 1
    assert len(world.ledger.records) == 2


async def test_a_callback_waits_in_the_outbox_while_the_broker_is_away(world: World) -> None:
    job = await world.accepted(callback_url=URL)
    world.broker.away.calls = -1
    assert await run(world, job) is ACK
    [told] = await callbacks(world, job)
    assert [row.job_id for row in world.ledger.outbox.values()] == [told.id]


async def test_an_attempt_that_was_taken_over_tells_nothing(world: World) -> None:
    job = await world.accepted(callback_url=URL)

    async def lose(context: Context, payload: Any) -> Outcome:
        granted(await world.ledger.claim(ticket_of(job, redelivered=True), "there:2", LEASE))
        return Succeeded({})

    world.echo.act = lose
    assert await run(world, job) is ACK
    assert await callbacks(world, job) == []
