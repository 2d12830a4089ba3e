"""What becomes of a message that the broker dead-lettered: each row of the table in `engine.bury`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from engine_world import World

from holdfast.domain.attempt import Bury, Outcome
from holdfast.domain.dead_letter import DeadLetter, DeadMessage, DeadReason
from holdfast.domain.errors import LedgerUnavailable
from holdfast.domain.job import Job, JobState
from holdfast.domain.topology import DELIVERY_LIMIT
from holdfast.engine.bury import POISONED, BuryDead
from holdfast.ports.dead_letters import DeadLetterQuery
from ledger_world import FATAL, LEASE, granted, ticket_of


@pytest.fixture
def bury(world: World) -> BuryDead:
    return BuryDead(world.ledger, world.ledger, world.dead_letters, world.dispatch, world.clock)


def dead_message(job_id: UUID | None, attempt: int | None = 1, death: str | None = "rejected") -> DeadMessage:
    return DeadMessage(job_id, attempt, death, {"x-first-death-reason": death}, b"the body")


def died(message: DeadMessage, at: datetime) -> DeadMessage:
    """As the broker would say it: in whole seconds, without a zone."""
    time = at.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat()
    return replace(message, headers={**message.headers, "x-death": [{"time": time}]})


async def filed(world: World) -> list[DeadLetter]:
    return await world.dead_letters.find(DeadLetterQuery(settled=True))


async def dead_job(world: World) -> Job:
    async def refuse(context: Any, payload: Any) -> Outcome:
        return Bury(FATAL)

    job = await world.accepted(key="order-1")
    world.echo.act = refuse
    await world.execute.execute(ticket_of(job))
    return await world.job(job)


async def crash(world: World, job: Job, times: int) -> None:
    """Workers that die in the attempt: the broker redelivers, and each one claims anew."""
    for delivery in range(times):
        granted(await world.ledger.claim(ticket_of(job, redelivered=delivery > 0), "there:2", LEASE))


async def test_a_rejected_message_of_a_dead_job_is_filed_with_the_ledgers_reason(world: World, bury: BuryDead) -> None:
    job = await dead_job(world)
    await bury.bury(dead_message(job.id))
    [letter] = await filed(world)
    assert (letter.job_id, letter.attempt, letter.tenant, letter.kind) == (job.id, 1, "acme", "test.echo")
    assert (letter.reason, letter.error, letter.message) == (FATAL.reason, FATAL.error, FATAL.message)
    assert (letter.headers, letter.body) == ({"x-first-death-reason": "rejected"}, b"the body")
    assert (letter.attempts, letter.died_at) == (1, job.finished_at)


async def test_the_same_message_again_changes_nothing(world: World, bury: BuryDead) -> None:
    job = await dead_job(world)
    await bury.bury(dead_message(job.id))
    before = await filed(world)
    await bury.bury(dead_message(job.id))
    assert await filed(world) == before
    assert await world.job(job) == job


@pytest.mark.parametrize("death", ["delivery_limit", "rejected", "expired", None])
async def test_a_job_that_crashed_its_workers_is_buried_as_poisoned(
    world: World, bury: BuryDead, death: str | None
) -> None:
    job = await world.accepted()
    await crash(world, job, DELIVERY_LIMIT + 1)
    await bury.bury(dead_message(job.id, death=death))
    now = await world.job(job)
    assert (now.state, now.failure) == (JobState.DEAD, POISONED)
    [letter] = await filed(world)
    assert letter.reason is DeadReason.POISONED


async def test_the_death_of_a_poisoned_job_is_told_once(world: World, bury: BuryDead) -> None:
    job = await world.accepted(callback_url="https://hooks.example.com/done")
    await crash(world, job, DELIVERY_LIMIT + 1)
    await bury.bury(dead_message(job.id, death="delivery_limit"))
    await bury.bury(dead_message(job.id, death="delivery_limit"))
    told = await world.ledger.job_by_key("acme", f"callback:{job.id}:1")
    assert told is not None
    assert (told.payload["event_type"], told.payload["body"]["failure"]["reason"]) == ("job.dead", "poisoned")
    assert len(world.ledger.records) == 2
    assert told.id in {row.job_id for row in world.ledger.outbox.values()}, "the steward publishes it"


DEATHS = pytest.mark.parametrize("death", ["delivery_limit", "rejected", "expired", "maxlen", None])


@DEATHS
async def test_a_message_that_died_through_no_fault_of_its_job_gets_a_new_ticket(
    world: World, bury: BuryDead, death: str | None
) -> None:
    job = await world.accepted()
    await bury.bury(dead_message(job.id, death=death))
    assert await filed(world) == []
    assert [(sent.job_id, sent.attempt) for sent in world.broker.published] == [(job.id, 1), (job.id, 1)]
    await world.execute.execute(ticket_of(job))
    assert (await world.job(job)).state is JobState.SUCCEEDED


@DEATHS
async def test_who_had_claimed_the_job_by_the_message_has_lost_it(
    world: World, bury: BuryDead, death: str | None
) -> None:
    job = await world.accepted()
    await crash(world, job, DELIVERY_LIMIT)
    await bury.bury(died(dead_message(job.id, death=death), world.clock.now()))
    assert (await world.job(job)).state is JobState.QUEUED
    assert (await filed(world), len(world.broker.published)) == ([], 2)


@DEATHS
async def test_who_claimed_the_job_after_the_message_had_died_keeps_it(
    world: World, bury: BuryDead, death: str | None
) -> None:
    """The archiver died after it had made the ticket by which the job runs, and the message comes again."""
    job = await world.accepted()
    message = died(dead_message(job.id, death=death), world.clock.now() - timedelta(seconds=2))
    await crash(world, job, DELIVERY_LIMIT)
    before = await world.job(job)
    await bury.bury(message)
    assert (await world.job(job), before.state) == (before, JobState.RUNNING)
    assert (await filed(world), len(world.broker.published)) == ([], 1)
    await world.execute.execute(ticket_of(job, redelivered=True))
    assert (await world.job(job)).state is JobState.SUCCEEDED


@pytest.mark.parametrize("end", ["succeeded", "cancelled"])
async def test_the_message_of_a_job_that_ended_well_is_forgotten(world: World, bury: BuryDead, end: str) -> None:
    job = await world.accepted()
    if end == "cancelled":
        await world.ledger.cancel("acme", job.id)
    else:
        await world.execute.execute(ticket_of(job))
    await bury.bury(dead_message(job.id, death="delivery_limit"))
    assert await filed(world) == []
    assert (await world.job(job)).state.value == end
    assert len(world.broker.published) == 1


async def test_the_message_of_an_earlier_attempt_is_forgotten(world: World, bury: BuryDead) -> None:
    job = await dead_job(world)
    await bury.bury(dead_message(job.id))
    [letter] = await filed(world)
    assert await world.dead_letters.replay(letter.id, None)
    await bury.bury(dead_message(job.id, death="delivery_limit"))
    assert len(await filed(world)) == 1
    assert (await world.job(job)).state is JobState.QUEUED


async def test_a_message_of_an_unknown_job_is_filed_as_unparseable(world: World, bury: BuryDead) -> None:
    unknown = uuid4()
    await bury.bury(dead_message(unknown))
    [letter] = await filed(world)
    assert (letter.reason, letter.job_id, letter.tenant) == (DeadReason.UNPARSEABLE, unknown, None)


async def test_messages_that_are_not_ours_are_all_filed(world: World, bury: BuryDead) -> None:
    await bury.bury(dead_message(None, None))
    await bury.bury(dead_message(None, None))
    assert [letter.reason for letter in await filed(world)] == [DeadReason.UNPARSEABLE] * 2


async def test_a_job_that_moved_on_while_we_looked_is_not_filed(
    world: World, bury: BuryDead, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await world.accepted()
    await crash(world, job, DELIVERY_LIMIT + 1)
    attempts = world.ledger.attempts

    async def meanwhile(job_id: UUID) -> Any:
        found = await attempts(job_id)
        await world.execute.execute(ticket_of(job, redelivered=True))
        return found

    monkeypatch.setattr(world.ledger, "attempts", meanwhile)
    await bury.bury(dead_message(job.id, death="delivery_limit"))
    assert (await world.job(job)).state is JobState.SUCCEEDED
    assert await filed(world) == []


async def test_without_the_ledger_the_message_may_not_be_acknowledged(
    world: World, bury: BuryDead, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(job_id: UUID) -> None:
        raise LedgerUnavailable("Postgres is away")

    monkeypatch.setattr(world.ledger, "any_job", away)
    with pytest.raises(LedgerUnavailable):
        await bury.bury(dead_message(uuid4()))


async def test_a_replayed_job_counts_its_attempts_anew(world: World, bury: BuryDead) -> None:
    job = await dead_job(world)
    await bury.bury(dead_message(job.id))
    [letter] = await filed(world)
    await world.dead_letters.replay(letter.id, 4)
    await world.execute.execute(ticket_of(await world.job(job)))
    await bury.bury(dead_message(job.id, attempt=2))
    newest, oldest = await filed(world)
    assert (newest.attempt, newest.attempts, oldest.attempt) == (2, 1, 1)
