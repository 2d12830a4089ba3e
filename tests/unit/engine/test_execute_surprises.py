"""What a handler may raise, or may not find: each has its end in the ledger, and its price in attempts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from engine_world import World
from one_ticket import ACK, DEAD_LETTER, answering, run
from pydantic import BaseModel

from holdfast.domain.attempt import AttemptState, Outcome, Park, Retry, Succeeded
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.errors import ArtifactsUnavailable, LedgerUnavailable, Rejected, TryLater
from holdfast.domain.job import Job, JobState
from holdfast.ports.handler import Context
from ledger_world import BROKEN, ticket_of

pytestmark = pytest.mark.usefixtures("impatient")


async def failure_of(world: World, job: Job) -> tuple[JobState, DeadReason | None, str]:
    now = await world.job(job)
    assert now.failure is not None
    return now.state, now.failure.reason, now.failure.error


async def test_rejected_ends_the_job(world: World) -> None:
    job = await world.accepted()
    answering(world, Rejected("no image", error="NotAnImage"))
    assert await run(world, job) is DEAD_LETTER
    assert await failure_of(world, job) == (JobState.DEAD, DeadReason.REJECTED, "NotAnImage")


async def test_try_later_waits_as_long_as_the_other_side_asked(world: World) -> None:
    job = await world.accepted()
    answering(world, TryLater("busy", after=timedelta(minutes=3)))
    assert await run(world, job) is ACK
    assert await failure_of(world, job) == (JobState.WAITING, None, "TryLater")
    assert (await world.job(job)).due_at == world.clock.now() + timedelta(minutes=3)


@pytest.mark.parametrize(
    "error", [ValueError("odd"), TimeoutError("the downstream's"), KeyError("k"), asyncio.CancelledError()]
)
async def test_a_surprise_is_retried_and_kept_with_its_traceback(world: World, error: BaseException) -> None:
    job = await world.accepted()
    answering(world, error)
    assert await run(world, job) is ACK
    assert await failure_of(world, job) == (JobState.WAITING, None, type(error).__name__)
    failure = (await world.job(job)).failure
    assert failure is not None
    assert failure.traceback is not None
    assert type(error).__name__ in failure.traceback


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {"said": "hello"},
        Succeeded({"when": object()}),
        Succeeded({}, {"x": object()}),
        Retry(BROKEN, None, {"x": 2**70}),
    ],
    ids=["None", "dict", "result", "detail", "big number"],
)
async def test_an_answer_that_is_no_outcome_or_no_json_is_a_surprise(world: World, answer: Any) -> None:
    """Else the settlement would fail for ever, and the effect happen as often."""
    job = await world.accepted()
    answering(world, answer)
    assert await run(world, job) is ACK
    state, _, error = await failure_of(world, job)
    assert (state, error) in {(JobState.WAITING, "TypeError"), (JobState.WAITING, "JSONEncodeError")}


async def test_a_dependency_of_ours_that_is_away_costs_the_job_no_attempt(world: World) -> None:
    job = await world.accepted()
    answering(world, ArtifactsUnavailable("the artifact store is away"))
    assert await run(world, job) is ACK
    now = await world.job(job)
    assert (now.state, now.attempt - now.spent_before, now.failure) == (JobState.WAITING, 1, None)


async def test_a_ledger_that_is_away_inside_the_handler_costs_no_attempt(world: World) -> None:
    job = await world.accepted()

    async def look(context: Context, payload: Any) -> Outcome:
        raise LedgerUnavailable("Postgres is away")

    world.echo.act = look
    assert await run(world, job) is ACK
    now = await world.job(job)
    assert (now.state, now.attempt, now.spent_before, now.failure) == (JobState.WAITING, 2, 1, None)
    [attempt] = await world.ledger.attempts(job.id)
    assert (attempt.state, attempt.detail) == (AttemptState.PARKED, {"parked": "Postgres is away"})


async def test_a_dependency_that_stays_away_never_kills_the_job(world: World) -> None:
    job = await world.accepted()
    answering(world, ArtifactsUnavailable("the artifact store is away"))
    for _ in range(20):
        assert await run(world, await world.job(job)) is ACK
    answering(world, Succeeded({}))
    assert await run(world, await world.job(job)) is ACK
    assert (await world.job(job)).state is JobState.SUCCEEDED


async def test_an_attempt_past_its_time_limit_is_retried_as_timed_out(world: World) -> None:
    job = await world.accepted()
    world.echo.time_limit = timedelta(milliseconds=5)

    async def never(context: Context, payload: Any) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    world.echo.act = never
    assert await run(world, job) is ACK
    assert await failure_of(world, job) == (JobState.WAITING, None, "TimedOut")


async def test_the_last_time_out_dead_letters_the_job_as_timed_out(world: World) -> None:
    job = await world.accepted()
    record = world.ledger.records[job.id]
    record.job = replace(record.job, attempt=6)
    world.echo.time_limit = timedelta(milliseconds=5)

    async def never(context: Context, payload: Any) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    world.echo.act = never
    assert await run(world, record.job) is DEAD_LETTER
    assert await failure_of(world, job) == (JobState.DEAD, DeadReason.TIMED_OUT, "TimedOut")


async def test_a_payload_that_its_kind_no_longer_takes_is_rejected(world: World) -> None:
    job = await world.accepted()

    class Stricter(BaseModel):
        say: int

    world.echo.Payload = Stricter  # type: ignore[misc]
    assert await run(world, job) is DEAD_LETTER
    assert await failure_of(world, job) == (JobState.DEAD, DeadReason.REJECTED, "InvalidPayload")


async def test_a_kind_that_this_worker_lacks_is_retried(world: World) -> None:
    job = await world.accepted()
    record = world.ledger.records[job.id]
    record.job = replace(record.job, kind="test.gone")
    assert await world.execute.execute(ticket_of(job)) is ACK
    assert await failure_of(world, job) == (JobState.WAITING, None, "UnknownKind")


async def test_a_job_past_its_deadline_is_not_started(world: World) -> None:
    job = await world.accepted(deadline=world.clock.now() + timedelta(seconds=5))
    world.clock.pass_by(seconds=5)
    assert await run(world, job) is DEAD_LETTER
    assert await failure_of(world, job) == (JobState.DEAD, DeadReason.EXPIRED, "Expired")
    assert world.echo.contexts == []


async def test_a_job_that_began_in_time_is_retried_past_its_deadline(world: World) -> None:
    job = await world.accepted(deadline=world.clock.now() + timedelta(seconds=5))
    answering(world, Retry(BROKEN))
    assert await run(world, job) is ACK
    world.clock.pass_by(seconds=60)
    answering(world, Succeeded({}))
    assert await run(world, await world.job(job)) is ACK
    assert (await world.job(job)).state is JobState.SUCCEEDED


async def test_a_job_that_was_only_parked_has_not_begun(world: World) -> None:
    job = await world.accepted(deadline=world.clock.now() + timedelta(seconds=5))
    answering(world, Park(timedelta(seconds=2), "the breaker is open"))
    assert await run(world, job) is ACK
    world.clock.pass_by(seconds=60)
    assert await run(world, await world.job(job)) is DEAD_LETTER
    assert await failure_of(world, job) == (JobState.DEAD, DeadReason.EXPIRED, "Expired")


async def test_the_lease_outlasts_the_time_limit(world: World) -> None:
    job = await world.accepted()
    leases = []

    async def look(context: Context, payload: Any) -> Outcome:
        leases.append(world.ledger.records[job.id].lease_until)
        return Succeeded({})

    world.echo.act = look
    await run(world, job)
    assert leases == [world.clock.now() + world.echo.time_limit + timedelta(seconds=30)]
