"""`cancel` and `lapsed`: who no longer holds an attempt, and how a job is ended from outside."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from ledger_stores import Stores

from holdfast.domain.attempt import AttemptState, Claim, Park, Refusal, Retry, Succeeded
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import JobState
from ledger_world import BROKEN, FATAL, LOST, settlement

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("state", [JobState.SCHEDULED, JobState.QUEUED, JobState.RUNNING, JobState.WAITING])
async def test_a_job_that_has_not_ended_can_be_cancelled(stores: Stores, state: JobState) -> None:
    job = await stores.in_state(state)
    cancelled = await stores.ledger.cancel(stores.tenant, job.id)
    assert cancelled == await stores.now(job)
    assert cancelled is not None
    assert (cancelled.state, cancelled.due_at, cancelled.attempt) == (JobState.CANCELLED, None, job.attempt)
    assert cancelled.finished_at is not None
    assert await stores.rows(job) == [], "what was not sent is not sent any more"
    assert await stores.claim(job) is Refusal.SETTLED
    assert await stores.claim(job, redelivered=True) is Refusal.SETTLED


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
    job = await stores.in_state(state)
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
        got, cancelled = await asyncio.gather(stores.claim(job), stores.ledger.cancel(stores.tenant, job.id))
        assert cancelled is not None
        assert cancelled.state is (await stores.now(job)).state is JobState.CANCELLED
        if isinstance(got, Claim):
            assert await stores.ledger.lapsed([got]) == [got]
        else:
            assert got is Refusal.SETTLED
