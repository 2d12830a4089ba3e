"""`settle`, `give_back` and `bury`: one attempt has one effect."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from ledger_stores import Stores

from holdfast.domain.attempt import AttemptState, Bury, Park, Refusal, Retry, Succeeded
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import JobState
from holdfast.domain.topology import Route
from ledger_world import BROKEN, FATAL, granted, settlement

SECOND = timedelta(seconds=1)


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
    assert granted(await stores.claim(job)).attempt == 2


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
    again = granted(await stores.claim(await stores.now(got.job)))
    assert (again.attempt, again.job.due_at) == (2, None)


async def test_a_first_attempt_that_was_parked_has_not_started_the_job(stores: Stores) -> None:
    """Its deadline and its wait in the queue are counted to the attempt that does begin."""
    got = await stores.settled(Park(SECOND, "busy"))
    assert (await stores.now(got.job)).started_at is None
    again = granted(await stores.claim(await stores.now(got.job)))
    assert again.job.started_at is not None
    await stores.ledger.settle(again, settlement(again, Park(SECOND, "busy")))
    twice = await stores.now(got.job)
    assert (twice.started_at, twice.attempt, twice.spent_before) == (None, 3, 2)


async def test_a_later_attempt_that_was_parked_has(stores: Stores) -> None:
    got = await stores.settled(Retry(BROKEN))
    second = granted(await stores.claim(await stores.now(got.job)))
    await stores.ledger.settle(second, settlement(second, Park(SECOND, "busy")))
    job = await stores.now(got.job)
    assert (job.started_at, job.attempt, job.spent_before) == (got.job.started_at, 3, 1)


async def test_attempts_that_were_parked_in_a_row_are_one_that_says_how_often_and_since_when(stores: Stores) -> None:
    """A downstream may be sick for days; each job keeps one row of it."""
    got = await stores.settled(Park(SECOND, "busy"))
    [first] = await stores.ledger.attempts(got.job.id)
    for _ in range(4):
        again = granted(await stores.claim(await stores.now(got.job)))
        assert again.parked_since == first.started_at
        await stores.ledger.settle(again, settlement(again, Park(SECOND, "still busy")))
    [attempt] = await stores.ledger.attempts(got.job.id)
    assert (attempt.number, attempt.state, attempt.parked) == (5, AttemptState.PARKED, 5)
    assert (attempt.started_at, attempt.detail) == (first.started_at, {"parked": "still busy"})


async def test_an_attempt_that_was_made_stands_between_those_that_were_parked(stores: Stores) -> None:
    got = await stores.settled(Park(SECOND, "busy"))
    for outcome in (Retry(BROKEN), Park(SECOND, "busy"), Park(SECOND, "busy")):
        again = granted(await stores.claim(await stores.now(got.job)))
        await stores.ledger.settle(again, settlement(again, outcome))
    seen = [(attempt.number, attempt.state, attempt.parked) for attempt in await stores.ledger.attempts(got.job.id)]
    assert seen == [(1, AttemptState.PARKED, 1), (2, AttemptState.FAILED, 0), (4, AttemptState.PARKED, 2)]
    assert (await stores.now(got.job)).spent_before == 3


async def test_the_ticket_of_a_parked_attempt_is_void(stores: Stores) -> None:
    """Else a copy of it would begin the next one before its time."""
    got = await stores.settled(Park(timedelta(minutes=9), "busy"))
    for redelivered in (False, True):
        assert await stores.claim(got.job, redelivered=redelivered) is Refusal.SETTLED


async def test_a_job_keeps_the_time_at_which_it_first_started(stores: Stores) -> None:
    first = await stores.running()
    second = granted(await stores.claim(first.job, redelivered=True))
    await stores.ledger.settle(second, settlement(second, Retry(BROKEN)))
    third = granted(await stores.claim(await stores.now(first.job)))
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
    again = granted(await stores.claim(job))
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
    job = await stores.in_state(JobState(scene))
    assert await stores.ledger.bury(job.id, job.attempt, FATAL)
    dead = await stores.now(job)
    assert (dead.state, dead.failure, dead.due_at) == (JobState.DEAD, FATAL, None)
    assert dead.finished_at is not None
    assert await stores.claim(dead, redelivered=True) is Refusal.DEAD


async def test_whoever_held_a_buried_job_has_lost_it(stores: Stores) -> None:
    got = await stores.running()
    assert await stores.ledger.bury(got.job.id, 1, FATAL)
    with pytest.raises(StaleClaim):
        await stores.ledger.settle(got, settlement(got, Succeeded({})))
    [attempt] = await stores.ledger.attempts(got.job.id)
    assert (attempt.state, attempt.failure) == (AttemptState.FAILED, FATAL)


@pytest.mark.parametrize("scene", ["scheduled", "succeeded", "cancelled", "dead"])
async def test_a_job_that_is_not_open_is_not_buried(stores: Stores, scene: str) -> None:
    job = await stores.in_state(JobState(scene))
    assert not await stores.ledger.bury(job.id, job.attempt, BROKEN)
    assert await stores.now(job) == job


async def test_a_job_that_moved_on_and_an_unknown_one_are_not_buried(stores: Stores) -> None:
    got = await stores.settled(Retry(BROKEN))
    assert not await stores.ledger.bury(got.job.id, 1, FATAL)
    assert not await stores.ledger.bury(uuid4(), 1, FATAL)


async def test_many_are_settled_in_one_call_and_a_stale_claim_voids_only_itself(stores: Stores) -> None:
    done, stale, parked = [await stores.running() for _ in range(3)]
    newest = granted(await stores.claim(stale.job, redelivered=True))
    outcomes = [(done, Succeeded({"n": 1})), (stale, Succeeded({"n": 2})), (parked, Park(SECOND, "sick"))]
    written = await stores.ledger.settle_all([(got, settlement(got, outcome)) for got, outcome in outcomes])
    assert written == [True, False, True]
    states = [(await stores.now(got.job)).state for got in (done, stale, parked)]
    assert states == [JobState.SUCCEEDED, JobState.RUNNING, JobState.WAITING]
    assert (await stores.now(done.job)).result == {"n": 1}
    assert await stores.ledger.settle_all(
        [(newest, settlement(newest, Succeeded({}))), (newest, settlement(newest, Retry(BROKEN)))]
    ) == [True, False]
