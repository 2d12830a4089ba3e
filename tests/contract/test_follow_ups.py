"""The job that follows up on an ended one: accepted with its ending, or not at all."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from ledger_stores import Stores

from holdfast.domain.attempt import Bury, Claim, Outcome, Succeeded
from holdfast.domain.callback import callback
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import Job, JobState
from holdfast.domain.settlement import Settlement
from holdfast.domain.topology import to_work
from ledger_world import FATAL, granted, growing_id, settlement, ticket_of

URL = "https://hooks.example.com/done"


def follow_up_of(job: Job, state: JobState = JobState.SUCCEEDED) -> Job:
    now = datetime.now(UTC)
    told = callback(job, state, {"n": 1}, None, growing_id(int(now.timestamp() * 1000), 1), now)
    assert told is not None
    return told


def following(claim: Claim, outcome: Outcome, told: Job) -> Settlement:
    return replace(settlement(claim, outcome), follow_up=told)


@pytest.mark.parametrize("outcome", [Succeeded({"n": 1}), Bury(FATAL)], ids=["success", "death"])
async def test_a_follow_up_is_accepted_with_the_settlement(stores: Stores, outcome: Outcome) -> None:
    got = await stores.running(callback_url=URL, callback_secret="whsec_x", priority=24, traceparent="00-a-b-01")
    told = follow_up_of(got.job)
    await stores.ledger.settle(got, following(got, outcome, told))
    assert await stores.now(told) == told, "nothing of it is lost on the way"
    assert await stores.ledger.job_by_key(stores.tenant, f"callback:{got.job.id}:1") == told
    [row] = await stores.rows(told)
    assert (row.attempt, row.token, row.priority, row.route) == (1, 0, 24, to_work("webhook"))
    assert (row.kind, row.idempotency_key, row.traceparent) == (told.kind, told.idempotency_key, "00-a-b-01")
    assert granted(await stores.ledger.claim(ticket_of(told), "w", got.lease_until - datetime.now(UTC))).token == 1


async def test_a_stale_settlement_leaves_no_follow_up(stores: Stores) -> None:
    first = await stores.running(callback_url=URL)
    await stores.claimed(first.job, redelivered=True)
    told = follow_up_of(first.job)
    with pytest.raises(StaleClaim):
        await stores.ledger.settle(first, following(first, Succeeded({}), told))
    assert await stores.ledger.any_job(told.id) is None
    assert await stores.rows(told) == []


async def test_a_second_follow_up_with_the_same_key_changes_nothing(stores: Stores) -> None:
    got = await stores.running(callback_url=URL)
    told, again = follow_up_of(got.job), follow_up_of(got.job, JobState.DEAD)
    await stores.ledger.accept([told])
    await stores.ledger.settle(got, following(got, Succeeded({"n": 1}), again))
    assert (await stores.now(got.job)).state is JobState.SUCCEEDED
    assert await stores.now(told) == told
    assert await stores.ledger.any_job(again.id) is None
    assert len(await stores.rows(told)) == 1
    assert await stores.rows(again) == []


async def test_a_settlement_without_a_follow_up_accepts_nothing(stores: Stores) -> None:
    got = await stores.settled(Succeeded({}))
    assert [row.job_id for row in await stores.rows() if row.kind == "webhook.dispatch"].count(got.job.id) == 0
    assert await stores.ledger.job_by_key(stores.tenant, f"callback:{got.job.id}:1") is None


async def test_of_two_settlements_at_once_one_is_followed_up(stores: Stores) -> None:
    got = await stores.running(callback_url=URL)

    async def settle() -> Job | None:
        told = follow_up_of(got.job)
        try:
            await stores.ledger.settle(got, following(got, Succeeded({}), told))
        except StaleClaim:
            return None
        return told

    async with asyncio.timeout(20):
        told = [job for job in await asyncio.gather(*(settle() for _ in range(8))) if job is not None]
    assert len(told) == 1
    assert await stores.ledger.job_by_key(stores.tenant, f"callback:{got.job.id}:1") == told[0]


async def test_a_follow_up_may_quote_any_input(stores: Stores) -> None:
    """Failures quote payloads and file names, results may hold any JSON; a callback that could not be kept would keep
    its job from ending, for ever.
    """
    got = await stores.running(callback_url=URL)
    odd = replace(FATAL, message="the name 'a\x00b\ud800' is odd")
    now = datetime.now(UTC)
    told = callback(got.job, JobState.DEAD, {"said": "\x00"}, odd, growing_id(int(now.timestamp() * 1000), 2), now)
    assert told is not None
    await stores.ledger.settle(got, following(got, Bury(odd), told))
    assert (await stores.now(got.job)).state is JobState.DEAD
    body = (await stores.now(told)).payload["body"]
    assert body["result"] == {"said": "\x00"}
    kept = body["failure"]["message"]
    assert kept.startswith("the name 'a")
    assert kept.endswith("is odd")


@pytest.mark.parametrize("state", ["queued", "running"])
async def test_a_follow_up_is_accepted_with_the_burial(stores: Stores, state: str) -> None:
    job = await stores.accepted(callback_url=URL)
    if state == "running":
        await stores.claimed(job)
    told = follow_up_of(job, JobState.DEAD)
    assert await stores.ledger.bury(job.id, 1, FATAL, told)
    assert await stores.now(told) == told
    [row] = await stores.rows(told)
    assert (row.attempt, row.token, row.route) == (1, 0, to_work("webhook"))


async def test_a_job_that_moved_on_is_not_followed_up(stores: Stores) -> None:
    got = await stores.settled(Succeeded({}), callback_url=URL)
    told = follow_up_of(got.job, JobState.DEAD)
    assert not await stores.ledger.bury(got.job.id, 1, FATAL, told)
    assert await stores.ledger.any_job(told.id) is None
    assert await stores.rows(told) == []


async def test_a_burial_after_a_burial_is_told_once(stores: Stores) -> None:
    job = await stores.accepted(callback_url=URL)
    told, again = follow_up_of(job, JobState.DEAD), follow_up_of(job, JobState.DEAD)
    assert await stores.ledger.bury(job.id, 1, FATAL, told)
    assert not await stores.ledger.bury(job.id, 1, FATAL, again)
    assert await stores.ledger.any_job(again.id) is None


async def test_each_life_of_a_replayed_job_is_told(stores: Stores) -> None:
    job, letter = await stores.died(callback_url=URL)
    await stores.ledger.accept([follow_up_of(job, JobState.DEAD)])
    await stores.dead_letters.replay(letter.id, None)
    got = await stores.claimed(await stores.now(job))
    told = follow_up_of(got.job)
    await stores.ledger.settle(got, following(got, Succeeded({}), told))
    assert await stores.now(told) == told
    assert await stores.ledger.job_by_key(stores.tenant, f"callback:{job.id}:1") != told
