"""The store of endpoints, and the jobs that wait for one, on both adapters."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ledger_stores import Stores

from audit_world import make_entry
from holdfast.domain.attempt import Park, Retry
from holdfast.domain.audit import AuditAction
from holdfast.domain.endpoint import Endpoint, EndpointState, Patience, SigningSecret
from holdfast.domain.envelope import Envelope
from holdfast.domain.job import Job, JobState
from ledger_world import BROKEN, make_endpoint, settlement

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
PATIENCE = Patience(failures=1, lasting=timedelta(0), probe_after=timedelta(0))


async def added(stores: Stores, **changes: object) -> Endpoint:
    endpoint = make_endpoint(tenant=stores.tenant, **changes)
    await stores.endpoints.add(endpoint)
    return endpoint


async def parked(stores: Stores, endpoint: Endpoint, **changes: object) -> Job:
    claim = await stores.running(**changes)
    await stores.ledger.settle(claim, settlement(claim, Park(DAY, "disabled", parked_by=endpoint.id)))
    return await stores.now(claim.job)


async def next_ticket(stores: Stores, job: Job) -> list[Envelope]:
    return [row for row in await stores.rows(job) if row.attempt == job.attempt]


async def unparked(stores: Stores, first: int = 1000, most: int = 1000) -> set[object]:
    tickets = await stores.endpoints.unpark(first, most)
    mine = [ticket for ticket in tickets if (await stores.ledger.job(stores.tenant, ticket.job_id)) is not None]
    for ticket in mine:
        assert ticket in await stores.rows(await stores.now(await job_of(stores, ticket.job_id))), "it is committed"
    return {ticket.job_id for ticket in mine}


async def job_of(stores: Stores, job_id: object) -> Job:
    found = await stores.ledger.any_job(job_id)  # type: ignore[arg-type]
    assert found is not None
    return found


async def test_an_endpoint_is_kept_as_it_is(stores: Stores) -> None:
    now = datetime.now(UTC)
    endpoint = await added(
        stores,
        secrets=(SigningSecret("a", now), SigningSecret("b", now, now + DAY)),
        description="orders",
        event_types=("order.*",),
        headers={"X-A": "c"},
        why="no",
        failures=3,
        failing_since=now,
        probes=2,
        probe_at=now,
    )
    assert await stores.endpoints.get(endpoint.id) == endpoint
    assert await stores.endpoints.get(make_endpoint().id) is None


async def test_a_tenants_endpoints_are_listed_newest_first_without_the_deleted(stores: Stores) -> None:
    made = [await added(stores) for _ in range(4)]
    await stores.endpoints.change(made[1].id, lambda it: it.deleted(it.created_at))
    listed = [it.id for it in await stores.endpoints.all(stores.tenant, None, 10)]
    assert listed == [made[3].id, made[2].id, made[0].id]
    assert [it.id for it in await stores.endpoints.all(stores.tenant, made[3].id, 1)] == [made[2].id]
    assert await stores.endpoints.all("another", None, 10) == []
    deleted = await stores.endpoints.get(made[1].id)
    assert deleted is not None
    assert deleted.state is EndpointState.DELETED


async def test_changes_at_once_are_all_made(stores: Stores) -> None:
    endpoint = await added(stores)

    async def fail() -> None:
        await stores.endpoints.change(endpoint.id, lambda it: replace(it, failures=it.failures + 1))

    await asyncio.gather(*(fail() for _ in range(8)))
    now = await stores.endpoints.get(endpoint.id)
    assert now is not None
    assert (now.failures, now.version) == (8, 9)


async def test_a_change_of_nothing_is_none_and_one_of_an_unknown_endpoint_says_so(stores: Stores) -> None:
    endpoint = await added(stores)
    entry = make_entry(AuditAction.ENDPOINT_ENABLE)
    assert await stores.endpoints.change(endpoint.id, lambda it: it.enabled(it.since), entry) == endpoint
    assert await stores.endpoints.change(make_endpoint().id, lambda it: it) is None


async def test_those_whose_probe_is_due_are_found_the_longest_due_first(stores: Stores) -> None:
    now = datetime.now(UTC)
    late = await added(stores, state=EndpointState.FAILING, probe_at=now - SECOND)
    later = await added(stores, state=EndpointState.FAILING, probe_at=now - 2 * SECOND)
    await added(stores, state=EndpointState.FAILING, probe_at=now + DAY)
    await added(stores, state=EndpointState.GONE, probe_at=now - DAY)
    due = [it.id for it in await stores.endpoints.to_probe(now, 1000) if it.tenant == stores.tenant]
    assert due == [later.id, late.id]


async def test_a_job_that_waits_for_an_endpoint_waits_in_the_ledger_and_is_counted(stores: Stores) -> None:
    endpoint = await added(stores, state=EndpointState.DISABLED)
    jobs = [await parked(stores, endpoint) for _ in range(3)]
    assert {(job.state, job.parked_by) for job in jobs} == {(JobState.WAITING, endpoint.id)}
    for job in jobs:
        assert job.due_at is not None
        assert await next_ticket(stores, job) == []
    assert await stores.endpoints.parked(endpoint.id, 10) == 3
    assert await stores.endpoints.parked(endpoint.id, 2) == 2
    assert await unparked(stores) == set()


async def test_when_it_is_enabled_or_deleted_its_jobs_go_on_and_no_other_that_waits(stores: Stores) -> None:
    one, two, three = [await added(stores, state=EndpointState.DISABLED) for _ in range(3)]
    go = {(await parked(stores, endpoint)).id for endpoint in (one, two)}
    await parked(stores, three)
    await stores.settled(Retry(BROKEN, after=DAY))
    now = datetime.now(UTC)
    await stores.endpoints.change(one.id, lambda it: it.enabled(now))
    await stores.endpoints.change(two.id, lambda it: it.deleted(now))
    assert await unparked(stores) == go
    for job_id in go:
        job = await job_of(stores, job_id)
        assert (job.state, job.due_at, job.parked_by) == (JobState.QUEUED, None, None)
    assert await unparked(stores) == set()


async def test_they_go_on_in_a_ramp_the_oldest_first(stores: Stores) -> None:
    endpoint = await added(stores, since=datetime.now(UTC) + DAY)
    jobs = [(await parked(stores, endpoint)).id for _ in range(20)]
    assert await unparked(stores, first=1) == {jobs.pop(0)}
    since = datetime.now(UTC) - 2 * SECOND
    await stores.endpoints.change(endpoint.id, lambda it: replace(it, since=since))
    gone = await unparked(stores, first=1, most=100)
    assert 3 <= len(gone) <= 1 + (datetime.now(UTC) - since) // SECOND
    assert gone == set(jobs[: len(gone)])
    await stores.endpoints.change(endpoint.id, lambda it: replace(it, since=it.since - DAY))
    assert await unparked(stores, first=1, most=1) == {jobs[len(gone)]}


@pytest.mark.parametrize("seconds", [5, 3600])
async def test_a_job_waits_for_its_endpoint_no_longer_than_its_deadline(stores: Stores, seconds: int) -> None:
    endpoint = await added(stores, state=EndpointState.GONE)
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    job = await parked(stores, endpoint, deadline=deadline)
    assert job.due_at is not None
    assert abs(job.due_at - deadline) < 5 * SECOND
    assert await next_ticket(stores, job) == [], "it waits in the ledger however short the wait is"


async def test_a_parked_job_that_is_cancelled_or_promoted_waits_no_more(stores: Stores) -> None:
    endpoint = await added(stores, state=EndpointState.DISABLED)
    job = await parked(stores, endpoint)
    cancelled = await stores.ledger.cancel(stores.tenant, job.id)
    assert cancelled is not None
    assert (cancelled.state, cancelled.parked_by) == (JobState.CANCELLED, None)
    assert await stores.endpoints.parked(endpoint.id, 10) == 0
