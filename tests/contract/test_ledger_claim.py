"""`claim`: one attempt is in one worker's hands."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from ledger_stores import Stores

from holdfast.domain.attempt import Ask, AttemptState, Bury, Claim, Refusal, Retry, Succeeded, Ticket
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import JobState
from ledger_world import BROKEN, FATAL, LEASE, LOST, granted, settlement, ticket_of


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
    assert await stores.claim(got.job) is Refusal.HELD


@pytest.mark.parametrize("redelivered", [False, True])
async def test_a_ticket_of_a_finished_attempt_is_settled(stores: Stores, redelivered: bool) -> None:
    for outcome in (Succeeded({}), Retry(BROKEN)):
        got = await stores.settled(outcome)
        assert await stores.claim(got.job, redelivered=redelivered) is Refusal.SETTLED


@pytest.mark.parametrize("redelivered", [False, True])
async def test_a_ticket_of_the_attempt_in_which_the_job_died_is_dead(stores: Stores, redelivered: bool) -> None:
    got = await stores.settled(Bury(FATAL))
    assert await stores.claim(got.job, redelivered=redelivered) is Refusal.DEAD


async def test_a_ticket_from_the_future_is_refused(stores: Stores) -> None:
    job = await stores.accepted()
    assert await stores.claim(replace(job, attempt=2)) is Refusal.SETTLED


async def test_a_ticket_of_a_job_that_is_not_due_is_refused(stores: Stores) -> None:
    job = await stores.accepted(delay=timedelta(hours=1))
    assert await stores.claim(job) is Refusal.SETTLED
    assert (await stores.now(job)).state is JobState.SCHEDULED


async def test_a_redelivered_ticket_takes_the_claim_over_and_voids_the_old_token(stores: Stores) -> None:
    first = await stores.running()
    second = granted(await stores.claim(first.job, redelivered=True))
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
    assert granted(await stores.claim(first.job)).token == first.token + 1


async def test_a_worker_past_its_lease_may_settle_while_nobody_took_over(stores: Stores) -> None:
    first = await stores.running(lease=LOST)
    await stores.ledger.settle(first, settlement(first, Succeeded({})))
    assert (await stores.now(first.job)).state is JobState.SUCCEEDED


@pytest.mark.parametrize("redelivered", [False, True])
async def test_of_many_that_ask_at_once_one_live_claim_is_left(stores: Stores, redelivered: bool) -> None:
    job = await stores.accepted()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(stores.claim(job, redelivered=redelivered) for _ in range(16)))
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
