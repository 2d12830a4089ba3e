"""One ticket: every outcome and every refusal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from engine_world import World
from one_ticket import ACK, DEAD_LETTER, answering, run

from holdfast.domain.attempt import AttemptState, Bury, Outcome, Park, Retry, Succeeded, Ticket
from holdfast.domain.circuit import Reason
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.envelope import Hints
from holdfast.domain.errors import TryLater
from holdfast.domain.job import JobState
from holdfast.ports.downstreams import NotNow
from holdfast.ports.handler import Context
from ledger_world import BROKEN, FATAL, LEASE, granted, ticket_of

pytestmark = pytest.mark.usefixtures("impatient")


# -- outcomes -----------------------------------------------------------------------------------------------------


async def test_a_success_is_settled_and_acknowledged(world: World) -> None:
    job = await world.accepted()
    assert await run(world, job) is ACK
    now = await world.job(job)
    assert (now.state, now.result) == (JobState.SUCCEEDED, {"said": "hello"})
    [attempt] = await world.ledger.attempts(job.id)
    assert (attempt.state, attempt.worker, attempt.deliveries) == (AttemptState.SUCCEEDED, "here:1", 1)


async def test_a_failure_is_acknowledged_and_its_next_ticket_published(world: World) -> None:
    job = await world.accepted()
    answering(world, Retry(BROKEN))
    assert await run(world, job) is ACK
    await world.dispatch.idle()
    assert (await world.job(job)).state is JobState.WAITING
    assert [(sent.attempt, sent.route.routing_key) for sent in world.broker.published[1:]] == [(2, "2s.0.image")]
    assert world.ledger.outbox == {}


async def test_six_failures_dead_letter_the_job_as_exhausted(world: World) -> None:
    job = await world.accepted()
    answering(world, TryLater("the downstream broke", error="Broken"))
    dispositions = [await run(world, await world.job(job)) for _ in range(6)]
    assert dispositions == [ACK] * 5 + [DEAD_LETTER]
    now = await world.job(job)
    assert now.failure is not None
    assert (now.state, now.failure.reason, now.failure.error) == (JobState.DEAD, DeadReason.EXHAUSTED, "Broken")
    assert len(await world.ledger.attempts(job.id)) == 6


async def test_a_parked_job_spends_no_attempt(world: World) -> None:
    job = await world.accepted()
    answering(world, Park(timedelta(minutes=5), "the breaker is open"))
    assert await run(world, job) is ACK
    now = await world.job(job)
    assert (now.state, now.due_at) == (JobState.WAITING, world.clock.now() + timedelta(minutes=5))
    assert (now.attempt, now.spent_before) == (2, 1), "a number of its own, which costs nothing"
    assert len(world.broker.published) == 1, "a long wait is a row and not a message"


async def test_a_handler_that_may_not_call_its_downstream_now_is_parked_for_as_long(world: World) -> None:
    job = await world.accepted()
    answering(world, NotNow("webhook:sick.example", Reason.OPEN, timedelta(seconds=12)))
    assert await run(world, job) is ACK
    await world.dispatch.idle()
    [attempt] = await world.ledger.attempts(job.id)
    assert (attempt.state, (await world.job(job)).spent_before) == (AttemptState.PARKED, 1)
    assert attempt.detail is not None
    assert attempt.detail["parked"].startswith("webhook:sick.example may not be called now: it has been failing")
    assert world.broker.published[-1].route.routing_key == "16s.0.image"


async def test_a_job_that_meets_an_open_breaker_a_hundred_times_has_one_attempt_that_says_so(world: World) -> None:
    job = await world.accepted()
    answering(world, NotNow("webhook:sick.example", Reason.OPEN, timedelta(seconds=12)))
    for _ in range(100):
        assert await run(world, await world.job(job)) is ACK
    [attempt] = await world.ledger.attempts(job.id)
    assert (attempt.number, attempt.parked) == (100, 100)
    answering(world, Succeeded({}))
    assert await run(world, await world.job(job)) is ACK
    assert (await world.job(job)).state is JobState.SUCCEEDED


async def test_a_buried_job_is_dead_lettered(world: World) -> None:
    job = await world.accepted()
    answering(world, Bury(FATAL, {"status": 410}))
    assert await run(world, job) is DEAD_LETTER
    assert (await world.job(job)).failure == FATAL
    assert (await world.ledger.attempts(job.id))[0].detail == {"status": 410}


async def test_a_broker_that_is_away_leaves_the_next_ticket_in_the_outbox(world: World) -> None:
    job = await world.accepted()
    answering(world, Retry(BROKEN))
    world.broker.away.calls = -1
    assert await run(world, job) is ACK
    assert [row.attempt for row in world.ledger.outbox.values()] == [2]


async def test_what_the_attempt_saved_is_listed_in_the_result(world: World) -> None:
    job = await world.accepted()

    async def save(context: Context, payload: Any) -> Outcome:
        await context.save("a.txt", b"abc", "text/plain")
        return Succeeded({"n": 1})

    world.echo.act = save
    await run(world, job)
    result = (await world.job(job)).result
    assert result is not None
    assert result["n"] == 1
    assert [(entry["name"], entry["size"]) for entry in result["artifacts"]] == [("a.txt", 3)]
    assert list(world.platform.objects) == [f"jobs/{job.id}/1/a.txt"]


async def test_the_artifacts_of_a_failed_attempt_are_not_listed(world: World) -> None:
    job = await world.accepted()

    async def save_then_fail(context: Context, payload: Any) -> Outcome:
        await context.save("a.txt", b"abc", "text/plain")
        return Retry(BROKEN)

    world.echo.act = save_then_fail
    await run(world, job)
    assert (await world.job(job)).result is None


async def test_the_handler_is_told_who_it_runs_for(world: World) -> None:
    job = await world.accepted(key="order-1")
    await run(world, job)
    [context] = world.echo.contexts
    assert (context.job_id, context.tenant, context.attempt) == (job.id, "acme", 1)
    assert (context.idempotency_key, context.token, context.created_at) == ("order-1", 1, job.created_at)


async def test_an_artifact_of_an_earlier_job_is_found_by_its_tenant_alone(world: World) -> None:
    earlier = await world.accepted()

    async def save(context: Context, payload: Any) -> Outcome:
        await context.save("a.txt", b"abc", "text/plain")
        return Succeeded({})

    world.echo.act = save
    await run(world, earlier)

    async def find(context: Context, payload: Any) -> Outcome:
        return Succeeded({"key": (await context.find(earlier.id, "a.txt")).key})

    world.echo.act = find
    own, foreign = await world.accepted(), await world.accepted(tenant="other")
    assert await run(world, own) is ACK
    assert (await world.job(own)).result == {"key": f"jobs/{earlier.id}/1/a.txt"}
    assert await run(world, foreign) is DEAD_LETTER
    failure = (await world.job(foreign)).failure
    assert failure is not None
    assert failure.error == "ArtifactNotFound"


# -- refusals -----------------------------------------------------------------------------------------------------


async def test_a_redelivered_ticket_of_a_settled_attempt_is_a_no_op(world: World) -> None:
    job = await world.accepted()
    await run(world, job)
    assert await run(world, job, redelivered=True) is ACK
    assert len(world.echo.contexts) == 1


async def test_a_second_copy_of_a_ticket_in_work_is_acknowledged(world: World) -> None:
    job = await world.accepted()
    granted(await world.ledger.claim(ticket_of(job), "there:2", LEASE))
    assert await run(world, job) is ACK
    assert world.echo.contexts == []


async def test_a_ticket_of_a_job_that_died_is_dead_lettered_again(world: World) -> None:
    job = await world.accepted()
    answering(world, Bury(FATAL))
    await run(world, job)
    assert await run(world, job, redelivered=True) is DEAD_LETTER
    assert len(world.echo.contexts) == 1


async def test_a_ticket_of_an_unknown_job_is_dead_lettered(world: World) -> None:
    assert await world.execute.execute(Ticket(uuid4(), 1), Hints(kind="test.echo")) is DEAD_LETTER


async def test_the_ticket_of_a_cancelled_job_is_acknowledged(world: World) -> None:
    job = await world.accepted()
    await world.ledger.cancel("acme", job.id)
    assert await run(world, job) is ACK
    assert world.echo.contexts == []
