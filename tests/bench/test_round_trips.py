"""What a job costs in words to the services: exact numbers, whatever the machine does besides.

A statement is a round trip and a commit; a second one on the way of every job halves what a ledger can take.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from bench.counting import Trips, trips
from holdfast import bootstrap
from holdfast.domain.attempt import Ticket
from holdfast.domain.downstream import Ask
from holdfast.domain.job import Job
from holdfast.domain.request import JobRequest
from holdfast.engine.execute import Disposition, Execute
from holdfast.engine.submit import Submission
from holdfast.ports.downstreams import Worker
from holdfast.runtimes import ApiRuntime
from holdfast.settings import Settings

AT_ONCE = 100
NOOP = "custom.noop"


@pytest.fixture
async def seen(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trips]:
    """What goes over the network from here on."""
    with trips(monkeypatch) as counted:
        yield counted


@pytest.fixture
async def api(seen: Trips, module_settings: Settings) -> AsyncIterator[ApiRuntime]:
    """An api's runtime, warm: connected, statements prepared, scripts known to Redis. No worker is there but ours."""
    async with bootstrap.api(module_settings) as runtime:
        await asyncio.gather(*(_submit(runtime) for _ in range(AT_ONCE)))  # as many connections as will be needed
        await runtime.core.dispatch.idle()
        seen.clear()
        yield runtime


@pytest.fixture
async def execute(
    api: ApiRuntime, seen: Trips, module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Execute]:
    """A worker's runtime, warm; its heart does not beat meanwhile."""
    monkeypatch.setattr("holdfast.engine.downstreams.BEAT", 3600.0)
    me = Worker("here:1", "here:1", "webhook", 8, busy=0)
    async with bootstrap.worker(module_settings, me, connections=4, children=1) as running:
        await running.execute(_ticket(await _submit(api)))
        await api.core.dispatch.idle()
        seen.clear()
        yield running


async def test_a_lone_job_is_accepted_by_one_statement_two_commands_and_one_message(
    api: ApiRuntime, seen: Trips
) -> None:
    await _submit(api)
    await api.core.dispatch.idle()

    assert len(seen.writes) == 2, f"accept, and forget the outbox row: {seen.writes}"
    assert not seen.reads
    assert seen.asked == 2, "hold the key, remember its job"
    assert sum(seen.messages.values()) == 1


async def test_jobs_that_come_together_share_their_statements(api: ApiRuntime, seen: Trips) -> None:
    await asyncio.gather(*(_submit(api) for _ in range(AT_ONCE)))
    await api.core.dispatch.idle()

    assert len(seen.writes) <= AT_ONCE // 3, "not two for each; in how many lots RabbitMQ confirms is its own affair"
    assert not seen.reads
    assert seen.asked <= AT_ONCE // 3
    assert sum(seen.messages.values()) == AT_ONCE


async def test_jobs_that_are_submitted_together_cost_what_one_costs(api: ApiRuntime, seen: Trips) -> None:
    outcomes = await api.submit.submit_all([_request() for _ in range(AT_ONCE)])
    await api.core.dispatch.idle()

    assert all(isinstance(outcome, Submission) for outcome in outcomes)
    assert len(seen.writes) == 2, f"accept, and forget the outbox rows: {seen.writes}"
    assert not seen.reads
    assert seen.asked == 2, "hold the keys, remember their jobs"
    assert sum(seen.messages.values()) == AT_ONCE


async def test_a_batch_sent_again_costs_one_command_and_one_read(api: ApiRuntime, seen: Trips) -> None:
    requests = [_request() for _ in range(AT_ONCE)]
    await api.submit.submit_all(requests)
    await api.core.dispatch.idle()
    seen.clear()

    again = await api.submit.submit_all(requests)

    assert all(isinstance(outcome, Submission) and outcome.replayed for outcome in again)
    assert (seen.asked, len(seen.reads), len(seen.writes), sum(seen.messages.values())) == (1, 1, 0, 0)


async def test_a_repeated_key_costs_one_command_and_one_read(api: ApiRuntime, seen: Trips) -> None:
    request = _request()
    await api.submit.submit(request)
    await api.core.dispatch.idle()
    seen.clear()

    again = await api.submit.submit(request)

    assert again.replayed
    assert (seen.asked, len(seen.reads), len(seen.writes), sum(seen.messages.values())) == (1, 1, 0, 0)


async def test_an_attempt_is_claimed_by_one_statement_and_settled_by_one(
    api: ApiRuntime, execute: Execute, seen: Trips
) -> None:
    job = await _submit(api)
    await api.core.dispatch.idle()
    seen.clear()

    assert await execute.execute(_ticket(job)) is Disposition.ACK

    assert len(seen.writes) == 2, f"claim, settle: {seen.writes}"
    assert not seen.reads
    assert not seen.asked
    assert not seen.messages


async def test_attempts_that_run_together_share_their_statements(
    api: ApiRuntime, execute: Execute, seen: Trips
) -> None:
    jobs = await asyncio.gather(*(_submit(api) for _ in range(AT_ONCE)))
    await api.core.dispatch.idle()
    seen.clear()

    done = await asyncio.gather(*(execute.execute(_ticket(job)) for job in jobs))

    assert set(done) == {Disposition.ACK}
    assert len(seen.writes) <= AT_ONCE // 3, "not two for each"
    assert not seen.reads
    assert not seen.messages


async def test_a_question_to_a_breaker_is_one_command(api: ApiRuntime, seen: Trips) -> None:
    await api.breakers.admit("webhook:bench.example.com", Ask("here:1", uuid4().hex, 500_000))
    seen.clear()

    await api.breakers.admit("webhook:bench.example.com", Ask("here:1", uuid4().hex, 500_000))

    assert seen.asked == 1


async def _submit(api: ApiRuntime) -> Job:
    return (await api.submit.submit(_request())).job


def _request() -> JobRequest:
    return JobRequest(tenant="bench", kind=NOOP, payload={}, priority=12, key=uuid4().hex)


def _ticket(job: Job) -> Ticket:
    return Ticket(job.id, 1, redelivered=False)
