"""One ticket: every refusal, every outcome, every surprise, and a ledger that goes away in the middle."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from engine_world import World
from pydantic import BaseModel

from holdfast.domain.attempt import AttemptState, Bury, Outcome, Park, Retry, Succeeded, Ticket
from holdfast.domain.circuit import Reason
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.envelope import Hints
from holdfast.domain.errors import ArtifactsUnavailable, LedgerUnavailable, Rejected, TryLater
from holdfast.domain.job import Job, JobState
from holdfast.engine import execute
from holdfast.engine.execute import Disposition
from holdfast.ports.downstreams import NotNow
from holdfast.ports.handler import Context
from ledger_world import BROKEN, FATAL, LEASE, granted, ticket_of

ACK, DEAD_LETTER, GIVE_BACK = Disposition.ACK, Disposition.DEAD_LETTER, Disposition.GIVE_BACK


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses are a product of the wall clock; here they are short."""
    monkeypatch.setattr(execute, "PAUSES", (0.001, 0.002))
    monkeypatch.setattr(execute, "PATIENCE", timedelta(milliseconds=20))


async def run(world: World, job: Job, *, redelivered: bool = False) -> Disposition:
    return await world.execute.execute(ticket_of(job, redelivered=redelivered), Hints(kind=job.kind))


def answering(world: World, outcome: Any) -> None:
    async def act(context: Context, payload: Any) -> Outcome:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    world.echo.act = act


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


# -- what a handler raises ----------------------------------------------------------------------------------------


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


# -- callbacks ----------------------------------------------------------------------------------------------------

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


# -- stopping, being superseded, and outages ----------------------------------------------------------------------


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
