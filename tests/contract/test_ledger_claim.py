"""`claim`, `settle`, `give_back`, `bury`, `cancel`: one attempt, one effect."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from ledger_stores import Stores

from holdfast.domain.attempt import Ask, AttemptState, Bury, Claim, Outcome, Park, Refusal, Retry, Succeeded, Ticket
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import Job, JobState
from holdfast.domain.topology import Route
from ledger_world import BROKEN, FATAL, LEASE, LOST, granted, settlement, ticket_of

SECOND = timedelta(seconds=1)


async def claim(stores: Stores, job: Job, *, redelivered: bool = False) -> Claim | Refusal:
    return await stores.ledger.claim(ticket_of(job, redelivered=redelivered), "w2", LEASE)


# -- claim --------------------------------------------------------------------------------------------------------


async def test_a_claim_grants_the_attempt_under_a_new_token_for_the_lease(stores: Stores) -> None:
    job = await stores.accepted(payload={"say": "hi"})
    got = granted(await stores.ledger.claim(ticket_of(job), "host:7", LEASE))
    assert (got.attempt, got.token, got.job.payload) == (1, 1, {"say": "hi"})
    assert abs(got.lease_until - datetime.now(UTC) - LEASE) < timedelta(seconds=30)
    assert got.job == await stores.now(job)
    assert (got.job.state, got.job.started_at is None) == (JobState.RUNNING, False)
    [attempt] = await stores.ledger.attempts(job.id)
    assert (attempt.number, attempt.state, attempt.worker) == (1, AttemptState.RUNNING, "host:7")
    assert (attempt.deliveries, attempt.finished_at, attempt.failure) == (1, None, None)


async def test_a_ticket_of_an_unknown_job_is_unknown(stores: Stores) -> None:
    assert await stores.ledger.claim(Ticket(uuid4(), 1), "w", LEASE) is Refusal.UNKNOWN


async def test_a_second_copy_of_a_ticket_in_work_is_held(stores: Stores) -> None:
    got = await stores.running()
    assert await claim(stores, got.job) is Refusal.HELD


@pytest.mark.parametrize("redelivered", [False, True])
async def test_a_ticket_of_a_finished_attempt_is_settled(stores: Stores, redelivered: bool) -> None:
    for outcome in (Succeeded({}), Retry(BROKEN)):
        got = await stores.settled(outcome)
        assert await claim(stores, got.job, redelivered=redelivered) is Refusal.SETTLED


@pytest.mark.parametrize("redelivered", [False, True])
async def test_a_ticket_of_the_attempt_in_which_the_job_died_is_dead(stores: Stores, redelivered: bool) -> None:
    got = await stores.settled(Bury(FATAL))
    assert await claim(stores, got.job, redelivered=redelivered) is Refusal.DEAD


async def test_a_ticket_from_the_future_is_refused(stores: Stores) -> None:
    job = await stores.accepted()
    assert await claim(stores, replace(job, attempt=2)) is Refusal.SETTLED


async def test_a_ticket_of_a_job_that_is_not_due_is_refused(stores: Stores) -> None:
    job = await stores.accepted(delay=timedelta(hours=1))
    assert await claim(stores, job) is Refusal.SETTLED
    assert (await stores.now(job)).state is JobState.SCHEDULED


async def test_a_redelivered_ticket_takes_the_claim_over_and_voids_the_old_token(stores: Stores) -> None:
    first = await stores.running()
    second = granted(await claim(stores, first.job, redelivered=True))
    assert (second.token, second.attempt) == (first.token + 1, first.attempt)
    with pytest.raises(StaleClaim):
        await stores.ledger.settle(first, settlement(first, Succeeded({"by": "first"})))
    with pytest.raises(StaleClaim):
        await stores.ledger.give_back(first)
    await stores.ledger.settle(second, settlement(second, Succeeded({"by": "second"})))
    assert (await stores.now(first.job)).result == {"by": "second"}
    [attempt] = await stores.ledger.attempts(first.job.id)
    assert (attempt.deliveries, attempt.worker) == (2, "w2")


async def test_a_lease_that_ran_out_lets_any_copy_take_over(stores: Stores) -> None:
    first = await stores.running(lease=LOST)
    assert granted(await claim(stores, first.job)).token == first.token + 1


async def test_a_worker_past_its_lease_may_settle_while_nobody_took_over(stores: Stores) -> None:
    first = await stores.running(lease=LOST)
    await stores.ledger.settle(first, settlement(first, Succeeded({})))
    assert (await stores.now(first.job)).state is JobState.SUCCEEDED


@pytest.mark.parametrize("redelivered", [False, True])
async def test_of_many_that_ask_at_once_one_live_claim_is_left(stores: Stores, redelivered: bool) -> None:
    job = await stores.accepted()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(claim(stores, job, redelivered=redelivered) for _ in range(16)))
    claims = [answer for answer in answers if isinstance(answer, Claim)]
    assert sorted(got.token for got in claims) == list(range(1, len(claims) + 1))
    assert len(claims) == (16 if redelivered else 1)
    assert {answer for answer in answers if isinstance(answer, Refusal)} <= {Refusal.HELD}
    settled = [await settles(stores, got) for got in claims]
    assert settled.count(True) == 1
    assert settled[claims.index(max(claims, key=lambda got: got.token))], "the newest token is the one that counts"


async def settles(stores: Stores, got: Claim) -> bool:
    try:
        await stores.ledger.settle(got, settlement(got, Succeeded({})))
    except StaleClaim:
        return False
    return True


# -- settle -------------------------------------------------------------------------------------------------------


async def test_a_success_keeps_result_and_detail(stores: Stores) -> None:
    got = await stores.running()
    await stores.ledger.settle(got, settlement(got, Succeeded({"n": [1, {"x": "\x00"}]}, {"status": 200})))
    job = await stores.now(got.job)
    assert (job.state, job.result, job.failure, job.attempt) == (JobState.SUCCEEDED, {"n": [1, {"x": "\x00"}]}, None, 1)
    assert job.finished_at is not None
    [attempt] = await stores.ledger.attempts(job.id)
    assert (attempt.state, attempt.detail) == (AttemptState.SUCCEEDED, {"status": 200})
    assert attempt.finished_at is not None


async def test_a_failure_moves_the_job_to_its_next_attempt_with_an_outbox_row(stores: Stores) -> None:
    got = await stores.settled(Retry(BROKEN), priority=24)
    job = await stores.now(got.job)
    assert (job.state, job.attempt, job.failure) == (JobState.WAITING, 2, BROKEN)
    assert (job.due_at, job.finished_at) == (None, None)
    row = (await stores.rows(job))[-1]
    assert (row.attempt, row.token, row.priority) == (2, got.token, 24)
    assert row.route == Route("holdfast.retry", "2s.0.image")
    assert granted(await claim(stores, job)).attempt == 2


async def test_a_long_wait_is_a_due_time_and_no_message(stores: Stores) -> None:
    got = await stores.running()
    await stores.outbox.confirmed(await stores.rows(got.job))
    await stores.ledger.settle(got, settlement(got, Park(timedelta(minutes=10), "busy")))
    job = await stores.now(got.job)
    assert (job.state, job.attempt, job.spent_before, job.failure) == (JobState.WAITING, 2, 1, None)
    assert job.due_at is not None
    assert abs(job.due_at - datetime.now(UTC) - timedelta(minutes=10)) < timedelta(seconds=30)
    assert await stores.rows(job) == []
    [attempt] = await stores.ledger.attempts(job.id)
    assert attempt.state is AttemptState.PARKED


async def test_a_parked_attempt_can_be_claimed_again(stores: Stores) -> None:
    got = await stores.settled(Park(SECOND, "busy"))
    again = granted(await claim(stores, await stores.now(got.job)))
    assert (again.attempt, again.job.due_at) == (2, None)


async def test_a_first_attempt_that_was_parked_has_not_started_the_job(stores: Stores) -> None:
    """Its deadline and its wait in the queue are counted to the attempt that does begin."""
    got = await stores.settled(Park(SECOND, "busy"))
    assert (await stores.now(got.job)).started_at is None
    again = granted(await claim(stores, await stores.now(got.job)))
    assert again.job.started_at is not None
    await stores.ledger.settle(again, settlement(again, Park(SECOND, "busy")))
    twice = await stores.now(got.job)
    assert (twice.started_at, twice.attempt, twice.spent_before) == (None, 3, 2)


async def test_a_later_attempt_that_was_parked_has(stores: Stores) -> None:
    got = await stores.settled(Retry(BROKEN))
    second = granted(await claim(stores, await stores.now(got.job)))
    await stores.ledger.settle(second, settlement(second, Park(SECOND, "busy")))
    job = await stores.now(got.job)
    assert (job.started_at, job.attempt, job.spent_before) == (got.job.started_at, 3, 1)


async def test_attempts_that_were_parked_in_a_row_are_one_that_says_how_often_and_since_when(stores: Stores) -> None:
    """A downstream may be sick for days; each job keeps one row of it."""
    got = await stores.settled(Park(SECOND, "busy"))
    [first] = await stores.ledger.attempts(got.job.id)
    for _ in range(4):
        again = granted(await claim(stores, await stores.now(got.job)))
        assert again.parked_since == first.started_at
        await stores.ledger.settle(again, settlement(again, Park(SECOND, "still busy")))
    [attempt] = await stores.ledger.attempts(got.job.id)
    assert (attempt.number, attempt.state, attempt.parked) == (5, AttemptState.PARKED, 5)
    assert (attempt.started_at, attempt.detail) == (first.started_at, {"parked": "still busy"})


async def test_an_attempt_that_was_made_stands_between_those_that_were_parked(stores: Stores) -> None:
    got = await stores.settled(Park(SECOND, "busy"))
    for outcome in (Retry(BROKEN), Park(SECOND, "busy"), Park(SECOND, "busy")):
        again = granted(await claim(stores, await stores.now(got.job)))
        await stores.ledger.settle(again, settlement(again, outcome))
    seen = [(attempt.number, attempt.state, attempt.parked) for attempt in await stores.ledger.attempts(got.job.id)]
    assert seen == [(1, AttemptState.PARKED, 1), (2, AttemptState.FAILED, 0), (4, AttemptState.PARKED, 2)]
    assert (await stores.now(got.job)).spent_before == 3


async def test_the_ticket_of_a_parked_attempt_is_void(stores: Stores) -> None:
    """Else a copy of it would begin the next one before its time."""
    got = await stores.settled(Park(timedelta(minutes=9), "busy"))
    for redelivered in (False, True):
        assert await claim(stores, got.job, redelivered=redelivered) is Refusal.SETTLED


async def test_a_job_keeps_the_time_at_which_it_first_started(stores: Stores) -> None:
    first = await stores.running()
    second = granted(await claim(stores, first.job, redelivered=True))
    await stores.ledger.settle(second, settlement(second, Retry(BROKEN)))
    third = granted(await claim(stores, await stores.now(first.job)))
    assert first.job.started_at == second.job.started_at == third.job.started_at


async def test_a_burial_keeps_the_failure_on_job_and_attempt(stores: Stores) -> None:
    failure = Failure(DeadReason.REJECTED, "NotAnImage", "no image", traceback="Traceback …")
    got = await stores.settled(Bury(failure))
    job = await stores.now(got.job)
    assert (job.state, job.failure) == (JobState.DEAD, failure)
    assert job.finished_at is not None
    assert (await stores.ledger.attempts(job.id))[0].failure == failure


async def test_a_claim_settles_once(stores: Stores) -> None:
    got = await stores.settled(Retry(BROKEN))
    before = await stores.now(got.job), await stores.rows(got.job)
    with pytest.raises(StaleClaim):
        await stores.ledger.settle(got, settlement(got, Succeeded({})))
    assert (await stores.now(got.job), await stores.rows(got.job)) == before


async def test_a_failure_may_quote_any_input(stores: Stores) -> None:
    """NUL and lone surrogates reach error messages from payloads and file names; Postgres keeps neither."""
    got = await stores.settled(Bury(Failure(DeadReason.REJECTED, "Odd", "the name 'a\x00b\ud800' is odd")))
    failure = (await stores.now(got.job)).failure
    assert failure is not None
    assert failure.message.startswith("the name 'a")
    assert failure.message.endswith("is odd")


# -- give back ----------------------------------------------------------------------------------------------------


async def test_giving_back_spends_neither_attempt_nor_delivery(stores: Stores) -> None:
    got = await stores.running()
    await stores.ledger.give_back(got)
    job = await stores.now(got.job)
    assert (job.state, job.attempt) == (JobState.QUEUED, 1)
    [attempt] = await stores.ledger.attempts(job.id)
    assert (attempt.state, attempt.deliveries) == (AttemptState.RETURNED, 0)
    again = granted(await claim(stores, job))
    assert (again.attempt, again.token) == (1, got.token + 1)
    [attempt] = await stores.ledger.attempts(job.id)
    assert (attempt.state, attempt.deliveries, attempt.finished_at) == (AttemptState.RUNNING, 1, None)


async def test_an_attempt_that_was_given_back_is_not_settled_afterwards(stores: Stores) -> None:
    got = await stores.running()
    await stores.ledger.give_back(got)
    with pytest.raises(StaleClaim):
        await stores.ledger.settle(got, settlement(got, Succeeded({})))
    with pytest.raises(StaleClaim):
        await stores.ledger.give_back(got)


# -- bury ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", ["queued", "waiting", "running"])
async def test_an_open_job_can_be_buried(stores: Stores, scene: str) -> None:
    job = await in_state(stores, JobState(scene))
    assert await stores.ledger.bury(job.id, job.attempt, FATAL)
    dead = await stores.now(job)
    assert (dead.state, dead.failure, dead.due_at) == (JobState.DEAD, FATAL, None)
    assert dead.finished_at is not None
    assert await claim(stores, dead, redelivered=True) is Refusal.DEAD


async def test_whoever_held_a_buried_job_has_lost_it(stores: Stores) -> None:
    got = await stores.running()
    assert await stores.ledger.bury(got.job.id, 1, FATAL)
    with pytest.raises(StaleClaim):
        await stores.ledger.settle(got, settlement(got, Succeeded({})))
    [attempt] = await stores.ledger.attempts(got.job.id)
    assert (attempt.state, attempt.failure) == (AttemptState.FAILED, FATAL)


@pytest.mark.parametrize("scene", ["scheduled", "succeeded", "cancelled", "dead"])
async def test_a_job_that_is_not_open_is_not_buried(stores: Stores, scene: str) -> None:
    job = await in_state(stores, JobState(scene))
    assert not await stores.ledger.bury(job.id, job.attempt, BROKEN)
    assert await stores.now(job) == job


async def test_a_job_that_moved_on_and_an_unknown_one_are_not_buried(stores: Stores) -> None:
    got = await stores.settled(Retry(BROKEN))
    assert not await stores.ledger.bury(got.job.id, 1, FATAL)
    assert not await stores.ledger.bury(uuid4(), 1, FATAL)


# -- cancel -------------------------------------------------------------------------------------------------------


async def in_state(stores: Stores, state: JobState) -> Job:
    """A job in the state, reached by the ledger's own moves."""

    async def settled(outcome: Outcome) -> Job:
        return (await stores.settled(outcome)).job

    async def cancelled() -> Job:
        job = await stores.accepted()
        await stores.ledger.cancel(stores.tenant, job.id)
        return job

    async def running() -> Job:
        return (await stores.running()).job

    scenes: dict[JobState, Callable[[], Awaitable[Job]]] = {
        JobState.SCHEDULED: lambda: stores.accepted(delay=timedelta(hours=1)),
        JobState.QUEUED: stores.accepted,
        JobState.RUNNING: running,
        JobState.WAITING: lambda: settled(Park(timedelta(minutes=9), "busy")),
        JobState.SUCCEEDED: lambda: settled(Succeeded({})),
        JobState.CANCELLED: cancelled,
        JobState.DEAD: lambda: settled(Bury(FATAL)),
    }
    job = await stores.now(await scenes[state]())
    assert job.state is state
    return job


@pytest.mark.parametrize("state", [JobState.SCHEDULED, JobState.QUEUED, JobState.RUNNING, JobState.WAITING])
async def test_a_job_that_has_not_ended_can_be_cancelled(stores: Stores, state: JobState) -> None:
    job = await in_state(stores, state)
    cancelled = await stores.ledger.cancel(stores.tenant, job.id)
    assert cancelled == await stores.now(job)
    assert cancelled is not None
    assert (cancelled.state, cancelled.due_at, cancelled.attempt) == (JobState.CANCELLED, None, job.attempt)
    assert cancelled.finished_at is not None
    assert await stores.rows(job) == [], "what was not sent is not sent any more"
    assert await claim(stores, job) is Refusal.SETTLED
    assert await claim(stores, job, redelivered=True) is Refusal.SETTLED


async def test_a_running_attempt_loses_its_claim_to_a_cancellation(stores: Stores) -> None:
    got, other = await stores.running(), await stores.running()
    assert await stores.ledger.lapsed([got, other]) == []
    await stores.ledger.cancel(stores.tenant, got.job.id)
    assert await stores.ledger.lapsed([got, other]) == [got]
    with pytest.raises(StaleClaim):
        await stores.ledger.settle(got, settlement(got, Succeeded({})))
    with pytest.raises(StaleClaim):
        await stores.ledger.give_back(got)
    [attempt] = await stores.ledger.attempts(got.job.id)
    assert (attempt.state, attempt.finished_at is None) == (AttemptState.CANCELLED, False)


async def test_claims_that_were_taken_over_settled_or_buried_have_lapsed(stores: Stores) -> None:
    live, lost, buried, ended = [await stores.running() for _ in range(4)]
    await stores.claimed(lost.job, redelivered=True)
    await stores.ledger.bury(buried.job.id, 1, FATAL)
    await stores.ledger.settle(ended, settlement(ended, Succeeded({})))
    assert await stores.ledger.lapsed([live, lost, buried, ended]) == [lost, buried, ended]
    assert await stores.ledger.lapsed([]) == []


async def test_a_claim_lapses_when_the_attempt_goes_on_without_it(stores: Stores) -> None:
    returned, parked, rescued = await stores.running(), await stores.running(), await stores.running(lease=LOST)
    assert await stores.ledger.lapsed([returned, parked, rescued]) == [], "a lease that ran out voids nothing"
    await stores.ledger.give_back(returned)
    await stores.ledger.settle(parked, settlement(parked, Park(SECOND, "busy")))
    await stores.outbox.rescue(timedelta(0), 100_000)
    assert await stores.ledger.lapsed([rescued, parked, returned]) == [rescued, parked, returned]


async def test_of_a_taken_over_attempt_only_the_newest_claim_holds(stores: Stores) -> None:
    first = await stores.running()
    second = await stores.claimed(first.job, redelivered=True)
    assert await stores.ledger.lapsed([first, second]) == [first]
    assert await stores.ledger.lapsed([second]) == []


async def test_a_cancelled_attempt_cannot_be_buried_rescued_or_reissued(stores: Stores) -> None:
    got = await stores.running(lease=LOST)
    cancelled = await stores.ledger.cancel(stores.tenant, got.job.id)
    assert not await stores.ledger.bury(got.job.id, 1, FATAL)
    assert await stores.outbox.reissue(got.job.id, 1) is None
    await stores.outbox.rescue(timedelta(0), 100_000)
    assert await stores.now(got.job) == cancelled
    [attempt] = await stores.ledger.attempts(got.job.id)
    assert (attempt.state, attempt.failure) == (AttemptState.CANCELLED, None)


async def test_cancelling_a_job_that_waits_leaves_its_attempts_as_they_ended(stores: Stores) -> None:
    got = await stores.settled(Retry(BROKEN))
    await stores.ledger.cancel(stores.tenant, got.job.id)
    [attempt] = await stores.ledger.attempts(got.job.id)
    assert (attempt.state, attempt.failure) == (AttemptState.FAILED, BROKEN)


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.CANCELLED, JobState.DEAD])
async def test_a_job_that_has_ended_is_returned_as_it_is(stores: Stores, state: JobState) -> None:
    job = await in_state(stores, state)
    assert await stores.ledger.cancel(stores.tenant, job.id) == job
    assert await stores.now(job) == job


async def test_another_tenant_cannot_cancel(stores: Stores) -> None:
    job = await stores.accepted()
    assert await stores.ledger.cancel(stores.tenant + "-other", job.id) is None
    assert (await stores.now(job)).state is JobState.QUEUED


async def test_a_cancelled_job_keeps_its_key(stores: Stores) -> None:
    job = await stores.accepted(key="k")
    await stores.ledger.cancel(stores.tenant, job.id)
    [owner] = await stores.ledger.accept([stores.new(key="k")])
    assert (owner.id, owner.state) == (job.id, JobState.CANCELLED)


async def test_a_cancellation_wins_over_a_claim_whichever_comes_first(stores: Stores) -> None:
    for _ in range(10):
        job = await stores.accepted()
        got, cancelled = await asyncio.gather(claim(stores, job), stores.ledger.cancel(stores.tenant, job.id))
        assert cancelled is not None
        assert cancelled.state is (await stores.now(job)).state is JobState.CANCELLED
        if isinstance(got, Claim):
            assert await stores.ledger.lapsed([got]) == [got]
        else:
            assert got is Refusal.SETTLED


# -- many in one call ---------------------------------------------------------------------------------------------


async def test_many_are_claimed_in_one_call_each_for_itself(stores: Stores) -> None:
    jobs = [await stores.accepted() for _ in range(3)]
    running = await stores.running()
    asks = [Ask(ticket_of(job), f"w{number}", LEASE * (number + 1)) for number, job in enumerate(jobs)]
    unknown, held = Ask(Ticket(uuid4(), 1), "w", LEASE), Ask(ticket_of(running.job), "w", LEASE)
    first, refused, second, lost, third = await stores.ledger.claim_all([asks[0], held, asks[1], unknown, asks[2]])
    assert (refused, lost) == (Refusal.HELD, Refusal.UNKNOWN)
    claims = [granted(got) for got in (first, second, third)]
    assert [got.job.id for got in claims] == [job.id for job in jobs]
    assert claims[0].lease_until < claims[1].lease_until < claims[2].lease_until
    workers = [(await stores.ledger.attempts(job.id))[0].worker for job in jobs]
    assert workers == ["w0", "w1", "w2"]


async def test_two_copies_of_a_ticket_in_one_call_are_answered_one_after_the_other(stores: Stores) -> None:
    job = await stores.accepted()
    copy, again = Ask(ticket_of(job), "w", LEASE), Ask(ticket_of(job, redelivered=True), "w", LEASE)
    first, second, third = await stores.ledger.claim_all([copy, copy, again])
    assert second is Refusal.HELD
    assert (granted(first).token, granted(third).token) == (1, 2)


async def test_many_are_settled_in_one_call_and_a_stale_claim_voids_only_itself(stores: Stores) -> None:
    done, stale, parked = [await stores.running() for _ in range(3)]
    newest = granted(await claim(stores, stale.job, redelivered=True))
    outcomes = [(done, Succeeded({"n": 1})), (stale, Succeeded({"n": 2})), (parked, Park(SECOND, "sick"))]
    written = await stores.ledger.settle_all([(got, settlement(got, outcome)) for got, outcome in outcomes])
    assert written == [True, False, True]
    states = [(await stores.now(got.job)).state for got in (done, stale, parked)]
    assert states == [JobState.SUCCEEDED, JobState.RUNNING, JobState.WAITING]
    assert (await stores.now(done.job)).result == {"n": 1}
    assert await stores.ledger.settle_all(
        [(newest, settlement(newest, Succeeded({}))), (newest, settlement(newest, Retry(BROKEN)))]
    ) == [True, False]
