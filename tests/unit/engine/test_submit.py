"""The enqueue path: what each answer of the gate and each outage leads to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engine_world import World

from holdfast.domain.errors import (
    BrokerUnavailable,
    IdempotencyMismatch,
    InvalidField,
    LedgerUnavailable,
    RequestInFlight,
    UnknownKind,
)
from holdfast.domain.job import JobState
from holdfast.engine.submit import Submission, validate
from holdfast.handlers.pdf import PdfRender
from holdfast.handlers.pdf.payload import ENGINES
from holdfast.ports.gate import Answered, Held, InFlight, Keyed, Known
from ledger_world import make_request

REQUEST = make_request(key="order-1")
OTHER = make_request(key="order-1", payload={"say": "bye"})


async def gate_answer(world: World, fingerprint: bytes = b"probe") -> Any:
    [answer] = await world.gate.hold([Keyed("acme", "order-1", fingerprint)])
    return answer


async def test_a_new_request_is_committed_published_and_remembered(world: World) -> None:
    submission = await world.submit.submit(REQUEST)
    await world.dispatch.idle()
    job = submission.job
    assert not submission.replayed
    assert (job.state, job.idempotency_key) == (JobState.QUEUED, "order-1")
    assert [(sent.job_id, sent.attempt) for sent in world.broker.published] == [(job.id, 1)]
    assert world.ledger.outbox == {}, "the confirm deleted the row"
    assert await gate_answer(world) == Known(REQUEST.fingerprint(), job.id)


async def test_the_same_request_again_is_answered_with_the_same_job(world: World) -> None:
    first = await world.submit.submit(REQUEST)
    again = await world.submit.submit(REQUEST)
    assert (again.job.id, again.replayed) == (first.job.id, True)
    assert len(world.broker.published) == 1


async def test_another_request_with_the_key_is_told_what_differs(world: World) -> None:
    await world.submit.submit(REQUEST)
    with pytest.raises(IdempotencyMismatch) as refused:
        await world.submit.submit(OTHER)
    assert refused.value.differs == ("/payload/say",)
    assert len(world.ledger.records) == 1


async def test_while_the_first_request_is_in_flight_the_second_is_told_to_wait(world: World) -> None:
    await world.gate.hold([Keyed("acme", "order-1", REQUEST.fingerprint())])
    with pytest.raises(RequestInFlight) as refused:
        await world.submit.submit(REQUEST)
    assert refused.value.retry_after.total_seconds() == 1
    with pytest.raises(IdempotencyMismatch):
        await world.submit.submit(OTHER)
    assert world.ledger.records == {}


async def test_one_key_of_two_tenants_is_two_keys(world: World) -> None:
    one = await world.submit.submit(REQUEST)
    other = await world.submit.submit(make_request(key="order-1", tenant="other"))
    assert one.job.id != other.job.id


async def test_without_the_gate_the_ledger_alone_keeps_one_key_one_job(world: World) -> None:
    world.gate.away.calls = -1
    first = await world.submit.submit(REQUEST)
    again = await world.submit.submit(REQUEST)
    assert (again.job.id, again.replayed) == (first.job.id, True)
    with pytest.raises(IdempotencyMismatch):
        await world.submit.submit(OTHER)
    assert len(world.ledger.records) == 1


async def test_a_gate_that_forgot_costs_nothing_but_time(world: World) -> None:
    first = await world.submit.submit(REQUEST)
    world.gate._entries.clear()
    again = await world.submit.submit(REQUEST)
    assert (again.job.id, again.replayed) == (first.job.id, True)
    assert await gate_answer(world) == Known(REQUEST.fingerprint(), first.job.id), "it knows again"


async def test_a_gate_that_lies_is_overruled_by_the_ledger(world: World) -> None:
    await world.gate.remember([Answered(Keyed("acme", "order-1", b"whatever"), world.clock.new_id())])
    submission = await world.submit.submit(REQUEST)
    assert not submission.replayed
    assert len(world.ledger.records) == 1


async def test_a_refused_commit_releases_the_key(world: World) -> None:
    world.ledger.away.calls = 1
    with pytest.raises(LedgerUnavailable):
        await world.submit.submit(REQUEST)
    assert not (await world.submit.submit(REQUEST)).replayed


async def test_a_mismatch_in_the_ledger_releases_the_key(world: World) -> None:
    world.gate.away.calls = 2  # the first request goes by without the gate
    await world.submit.submit(REQUEST)
    with pytest.raises(IdempotencyMismatch):
        await world.submit.submit(OTHER)
    assert await gate_answer(world) == Held()


async def test_a_caller_that_hangs_up_during_the_commit_still_has_one_job(world: World) -> None:
    entered, go = asyncio.Event(), asyncio.Event()
    accept = world.ledger.accept

    async def slow(jobs: Any) -> Any:
        entered.set()
        await go.wait()
        return await accept(jobs)

    world.submit._accept._run = slow
    call = asyncio.create_task(world.submit.submit(REQUEST))
    await entered.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    go.set()
    again = await world.submit.submit(REQUEST)
    assert again.replayed
    assert len(world.ledger.records) == 1
    assert [row.job_id for row in world.ledger.outbox.values()] == [again.job.id], "the steward will publish it"


async def test_a_crash_between_commit_and_publish_leaves_the_outbox_row(world: World) -> None:
    class Crash(BaseException):
        pass

    async def crash(_: Any) -> Any:
        raise Crash

    world.broker.publish_all = crash  # type: ignore[method-assign]
    with pytest.raises(Crash):
        await world.submit.submit(REQUEST)
    job = await world.ledger.job_by_key("acme", "order-1")
    assert job is not None
    assert [(row.job_id, row.attempt) for row in world.ledger.outbox.values()] == [(job.id, 1)]


async def test_a_broker_that_is_away_does_not_keep_a_job_from_being_accepted(world: World) -> None:
    world.broker.away.calls = -1
    submission = await world.submit.submit(REQUEST)
    assert submission.job.state is JobState.QUEUED
    assert [row.job_id for row in world.ledger.outbox.values()] == [submission.job.id]
    with pytest.raises(BrokerUnavailable):
        await world.broker.publish(next(iter(world.ledger.outbox.values())))


async def test_a_scheduled_job_is_not_published_before_its_time(world: World) -> None:
    submission = await world.submit.submit(make_request(run_at=world.clock.now().replace(year=2030)))
    await world.dispatch.idle()
    assert submission.job.state is JobState.SCHEDULED
    assert (world.broker.published, world.ledger.outbox) == ([], {})


async def test_without_a_key_every_request_is_a_job_of_its_own_and_the_gate_is_not_asked(world: World) -> None:
    world.gate.away.calls = -1
    one, other = [(await world.submit.submit(make_request())).job for _ in range(2)]
    assert one.id != other.id
    assert world.gate.away.seen == 0


async def test_an_unknown_kind_names_the_known_ones(world: World) -> None:
    with pytest.raises(UnknownKind, match=r"known kinds: test\.echo"):
        await world.submit.submit(make_request(kind="test.nothing", key="order-1"))
    assert await gate_answer(world) == Held(), "the key was not touched"


async def test_a_wrong_payload_is_refused_with_pointers_and_without_its_values(world: World) -> None:
    with pytest.raises(InvalidField) as refused:
        await world.submit.submit(make_request(key="order-1", payload={"say": 5, "password": "hunter2"}))
    assert sorted(pointer for pointer, _ in refused.value.problems) == ["/payload/password", "/payload/say"]
    assert "hunter2" not in str(refused.value)
    assert await gate_answer(world) == Held()


def test_an_option_that_this_installation_lacks_is_a_wrong_field_of_the_request() -> None:
    request = make_request(kind="pdf.render", payload={"html": "x", "engine": "chromium"})
    validate(PdfRender(), request, {ENGINES: ("weasyprint", "chromium")})
    with pytest.raises(InvalidField, match="HOLDFAST_CHROMIUM") as refused:
        validate(PdfRender(), request, {ENGINES: ("weasyprint",)})
    assert [pointer for pointer, _ in refused.value.problems] == ["/payload/engine"]


async def test_concurrent_requests_with_one_key_make_one_job(world: World) -> None:
    answers = await asyncio.gather(*(world.submit.submit(REQUEST) for _ in range(20)), return_exceptions=True)
    fresh = [answer for answer in answers if not isinstance(answer, BaseException) and not answer.replayed]
    assert len(fresh) == len(world.ledger.records) == 1
    assert all(isinstance(answer, RequestInFlight) for answer in answers if isinstance(answer, BaseException))


async def test_the_gate_says_in_flight_only_while_it_is(world: World) -> None:
    await world.gate.hold([Keyed("acme", "order-1", REQUEST.fingerprint())])
    assert isinstance(await gate_answer(world), InFlight)
    await world.gate.release([Keyed("acme", "order-1", b"another request's")])
    assert isinstance(await gate_answer(world), InFlight)
    await world.gate.release([Keyed("acme", "order-1", REQUEST.fingerprint())])
    assert await gate_answer(world) == Held()


async def test_requests_that_come_together_have_an_outcome_each(world: World) -> None:
    known = (await world.submit.submit(REQUEST)).job
    one, other, wrong, unknown, again, reused = await world.submit.submit_all(
        [
            make_request(key="a"),
            make_request(),
            make_request(key="b", payload={"say": 5}),
            make_request(key="c", kind="test.nothing"),
            REQUEST,
            OTHER,
        ]
    )
    assert isinstance(one, Submission) and isinstance(other, Submission) and isinstance(again, Submission)
    assert (one.replayed, other.replayed, again.replayed) == (False, False, True)
    assert again.job.id == known.id
    assert list(map(type, (wrong, unknown, reused))) == [InvalidField, UnknownKind, IdempotencyMismatch]
    assert {row.job_id for row in world.broker.published} == {known.id, one.job.id, other.job.id}
    await world.dispatch.idle()
    assert world.ledger.outbox == {}


async def test_of_several_with_one_key_the_first_makes_the_job(world: World) -> None:
    first, repeat, another = await world.submit.submit_all([REQUEST, REQUEST, OTHER])
    assert isinstance(first, Submission) and isinstance(repeat, Submission)
    assert (first.replayed, repeat.replayed, repeat.job.id) == (False, True, first.job.id)
    assert isinstance(another, IdempotencyMismatch)
    assert len(world.ledger.records) == 1


async def test_a_ledger_that_is_away_refuses_all_that_came_together_and_releases_their_keys(world: World) -> None:
    world.ledger.away.calls = 1
    requests = [REQUEST, make_request(key="order-2"), make_request()]
    assert list(map(type, await world.submit.submit_all(requests))) == [LedgerUnavailable] * 3
    again = await world.submit.submit_all(requests)
    assert [isinstance(it, Submission) and not it.replayed for it in again] == [True] * 3


async def test_a_broker_that_takes_some_leaves_the_rows_of_the_others(world: World) -> None:
    world.broker.away.calls = 2
    outcomes = await world.submit.submit_all([make_request() for _ in range(5)])
    await world.dispatch.idle()
    assert all(isinstance(it, Submission) and it.job.state is JobState.QUEUED for it in outcomes)
    assert len(world.broker.published) == 3
    assert len(world.ledger.outbox) == 2


async def test_nothing_asked_is_nothing_done(world: World) -> None:
    assert await world.submit.submit_all([]) == []
