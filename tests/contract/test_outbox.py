"""The outbox, and the jobs whose time has come: at least once, and a late confirm harms nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from ledger_stores import Stores

from holdfast.domain.attempt import Bury, Park, Refusal, Retry, Succeeded
from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import Job, JobState
from holdfast.domain.topology import to_work
from ledger_world import BROKEN, FATAL, LEASE, LOST, granted, settlement, ticket_of

NONE = timedelta(0)
ALL = 100_000


def of(job: Job, rows: Sequence[Envelope]) -> list[Envelope]:
    return [row for row in rows if row.job_id == job.id]


async def due(stores: Stores) -> Job:
    """A SCHEDULED job whose time has come (its request had been made before)."""
    past = datetime.now(UTC) - timedelta(minutes=5)
    return await stores.accepted(now=past, delay=timedelta(minutes=1))


# -- confirms -----------------------------------------------------------------------------------------------------


async def test_a_confirm_deletes_its_row_and_no_other(stores: Stores) -> None:
    one, other = await stores.accepted(), await stores.accepted()
    await stores.outbox.confirmed(await stores.rows(one))
    assert (await stores.rows(one), len(await stores.rows(other))) == ([], 1)


async def test_the_rows_are_counted_as_far_as_anybody_wants_to_know(stores: Stores) -> None:
    for _ in range(3):
        await stores.accepted()
    assert await stores.outbox.size(2) == 2
    assert 3 <= await stores.outbox.size(ALL) < ALL


async def test_confirming_again_or_something_unknown_is_no_error(stores: Stores) -> None:
    job = await stores.accepted()
    rows = await stores.rows(job)
    await stores.outbox.confirmed(rows)
    await stores.outbox.confirmed(rows)
    await stores.outbox.confirmed([])


async def test_a_late_confirm_does_not_delete_the_row_of_a_newer_message(stores: Stores) -> None:
    got = await stores.running()
    [old] = await stores.rows(got.job)
    await stores.ledger.settle(got, settlement(got, Park(timedelta(seconds=2), "busy")))
    await stores.outbox.confirmed([old])
    [newer] = await stores.rows(got.job)
    assert (newer.attempt, newer.token) == (2, got.token)


async def test_rows_that_nobody_confirmed_come_oldest_first(stores: Stores) -> None:
    jobs = [await stores.accepted() for _ in range(3)]
    found = [row.job_id for job in jobs for row in of(job, await stores.rows())]
    assert found == [job.id for job in jobs]
    everything = await stores.rows()
    assert everything == sorted(everything, key=lambda row: row.enqueued_at)
    assert len(await stores.outbox.unconfirmed(timedelta(seconds=-5), 2)) == 2


async def test_young_rows_are_left_to_those_who_wrote_them(stores: Stores) -> None:
    job = await stores.accepted()
    assert of(job, await stores.outbox.unconfirmed(timedelta(minutes=1), ALL)) == []
    assert len(of(job, await stores.outbox.unconfirmed(timedelta(seconds=-5), ALL))) == 1


async def replaced(stores: Stores, job: Job) -> bool:
    """Whether the job, which has stood untouched for half an hour or not, gets a new ticket for a lost one."""
    return of(job, await stores.outbox.replace(job.queue, timedelta(minutes=30), ALL)) != []


async def test_a_late_confirm_issues_its_ticket_only_now(stores: Stores) -> None:
    """While the broker was away the ticket was not lost, so it is not replaced as soon as the broker is back."""
    queued, waiting = await stores.accepted(), (await stores.settled(Retry(BROKEN))).job
    for job in (queued, waiting):
        await stores.age(job, timedelta(hours=1))
        await stores.outbox.confirmed(await stores.rows(job))
        assert not await replaced(stores, job)
        await stores.age(job, timedelta(hours=1))
        assert await replaced(stores, job)


async def test_a_confirm_in_time_does_not_make_the_job_younger(stores: Stores) -> None:
    job = await stores.accepted()
    await stores.outbox.confirmed(await stores.rows(job))
    await stores.age(job, timedelta(hours=1))
    assert await replaced(stores, job)


async def test_a_late_confirm_of_an_older_message_does_not_make_the_job_younger(stores: Stores) -> None:
    got = await stores.running()
    [old] = await stores.rows(got.job)
    await stores.ledger.give_back(got)
    await stores.age(got.job, timedelta(hours=1))
    await stores.outbox.confirmed([old])
    assert await replaced(stores, got.job)


async def test_a_ticket_that_was_not_confirmed_is_not_replaced(stores: Stores) -> None:
    job = await stores.accepted()
    await stores.age(job, timedelta(hours=1))
    assert not await replaced(stores, job)


# -- promote ------------------------------------------------------------------------------------------------------


async def test_a_due_job_is_queued_with_its_ticket(stores: Stores) -> None:
    job = await due(stores)
    [ticket] = of(job, await stores.outbox.promote(ALL))
    now = await stores.now(job)
    assert (now.state, now.due_at) == (JobState.QUEUED, None)
    assert (ticket.attempt, ticket.route, ticket.priority) == (1, to_work(job.queue), job.priority)
    assert (ticket.kind, ticket.idempotency_key) == (job.kind, job.idempotency_key)
    assert await stores.rows(job) == [ticket], "the row is committed"
    assert of(job, await stores.outbox.promote(ALL)) == []
    assert granted(await stores.ledger.claim(ticket_of(job), "w", LEASE)).attempt == 1


async def test_a_job_is_not_queued_before_its_time(stores: Stores) -> None:
    job = await stores.accepted(delay=timedelta(minutes=1))
    assert of(job, await stores.outbox.promote(ALL)) == []
    assert (await stores.now(job)).state is JobState.SCHEDULED


async def test_a_parked_job_is_queued_when_its_wait_is_over(stores: Stores) -> None:
    got = await stores.running()
    parked = settlement(got, Park(timedelta(minutes=1), "busy"))
    await stores.ledger.settle(got, replace(parked, due_in=NONE))
    [ticket] = of(got.job, await stores.outbox.promote(ALL))
    assert ticket.attempt == 2
    assert ticket.token > got.token


async def test_a_job_that_waits_in_the_broker_is_not_promoted(stores: Stores) -> None:
    got = await stores.settled(Retry(BROKEN))
    assert of(got.job, await stores.outbox.promote(ALL)) == []


async def test_a_cancelled_job_is_not_promoted(stores: Stores) -> None:
    job = await due(stores)
    await stores.ledger.cancel(stores.tenant, job.id)
    assert of(job, await stores.outbox.promote(ALL)) == []


async def test_a_turn_takes_no_more_than_its_limit(stores: Stores) -> None:
    jobs = [await due(stores) for _ in range(5)]
    assert len(await stores.outbox.promote(2)) == 2
    await stores.outbox.promote(ALL)
    assert {(await stores.now(job)).state for job in jobs} == {JobState.QUEUED}


# -- rescue -------------------------------------------------------------------------------------------------------


async def test_a_lost_job_gets_a_new_ticket_for_the_same_attempt(stores: Stores) -> None:
    lost = await stores.running(lease=LOST)
    [ticket] = of(lost.job, await stores.outbox.rescue(NONE, ALL))
    assert (ticket.attempt, ticket.route) == (1, to_work(lost.job.queue))
    assert ticket.token > lost.token
    assert (await stores.now(lost.job)).state is JobState.QUEUED
    with pytest.raises(StaleClaim):
        await stores.ledger.settle(lost, settlement(lost, Succeeded({})))
    assert granted(await stores.ledger.claim(ticket_of(lost.job), "w", LEASE)).token > ticket.token


async def test_a_job_is_not_rescued_while_its_lease_or_the_grace_lasts(stores: Stores) -> None:
    leased, lost = await stores.running(), await stores.running(lease=LOST)
    rescued = await stores.outbox.rescue(timedelta(minutes=5), ALL)
    assert of(leased.job, rescued) == of(lost.job, rescued) == []
    assert of(leased.job, await stores.outbox.rescue(NONE, ALL)) == []


# -- reissue ------------------------------------------------------------------------------------------------------


async def test_an_attempt_that_nobody_makes_gets_another_ticket(stores: Stores) -> None:
    queued, waiting = await stores.accepted(), await stores.settled(Retry(BROKEN))
    for job in (queued, await stores.now(waiting.job)):
        ticket = await stores.outbox.reissue(job.id, job.attempt)
        assert ticket is not None
        assert (ticket.attempt, ticket.route) == (job.attempt, to_work(job.queue))
        assert ticket in await stores.rows(job)
        assert (await stores.now(job)).state is JobState.QUEUED
        granted(await stores.ledger.claim(ticket_of(job), "w", LEASE))


async def test_a_running_attempt_gets_one_only_if_it_was_claimed_before_its_message_was_lost(stores: Stores) -> None:
    holding, lost = await stores.running(), await stores.running()
    day = timedelta(days=1)
    for lost_by in (None, lost.job.created_at - day):
        for claim in (holding, lost):
            before = await stores.now(claim.job), await stores.rows(claim.job)
            assert await stores.outbox.reissue(claim.job.id, 1, lost_by=lost_by) is None
            assert (await stores.now(claim.job), await stores.rows(claim.job)) == before
    await stores.ledger.give_back(holding)
    assert await stores.outbox.reissue(lost.job.id, 1, lost_by=lost.job.created_at + day) is not None
    assert (await stores.now(lost.job)).state is JobState.QUEUED
    with pytest.raises(StaleClaim):
        await stores.ledger.give_back(lost)


async def test_a_job_that_moved_on_gets_none(stores: Stores) -> None:
    retried = await stores.settled(Retry(BROKEN))
    ended = [await stores.settled(outcome) for outcome in (Succeeded({}), Bury(FATAL))]
    for job in (retried.job, *(got.job for got in ended), await stores.accepted(delay=timedelta(hours=1))):
        before = await stores.now(job), await stores.rows(job)
        assert await stores.outbox.reissue(job.id, 1) is None
        assert (await stores.now(job), await stores.rows(job)) == before
    assert await stores.outbox.reissue(uuid4(), 1) is None


async def test_a_job_that_waits_for_its_due_time_is_not_hurried(stores: Stores) -> None:
    parked = await stores.settled(Park(timedelta(minutes=9), "the breaker is open"))
    before = await stores.now(parked.job)
    assert await stores.outbox.reissue(before.id, before.attempt) is None
    assert await stores.now(before) == before


async def test_the_two_copies_of_a_ticket_get_one_claim(stores: Stores) -> None:
    job = await stores.accepted()
    await stores.outbox.reissue(job.id, 1)
    granted(await stores.ledger.claim(ticket_of(job), "w1", LEASE))
    assert await stores.ledger.claim(ticket_of(job), "w2", LEASE) is Refusal.HELD
