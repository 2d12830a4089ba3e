"""`Ledger.accept`, and the ways to look a job up: one key, one job; accepted means durable, with its ticket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from ledger_stores import Stores

from holdfast.domain.attempt import Succeeded
from holdfast.domain.job import JobState
from holdfast.domain.topology import Route
from holdfast.ports.ledger import JobQuery
from ledger_world import make_job


async def test_a_fresh_job_is_kept_as_it_was_given(stores: Stores) -> None:
    job = stores.new(
        key="order-1",
        payload={"text": "naïve 🎈", "nul": "\x00", "nested": {"list": [1, 2.5, None, True]}, "empty": {}},
        priority=24,
        deadline=datetime(2030, 1, 1, tzinfo=UTC),
        tags=("a", "b"),
        traceparent="00-abc-def-01",
    )
    assert await stores.ledger.accept([job]) == [job]
    assert await stores.ledger.job(stores.tenant, job.id) == job
    assert await stores.ledger.any_job(job.id) == job
    assert await stores.ledger.job_by_key(stores.tenant, "order-1") == job


async def test_a_queued_job_comes_with_its_outbox_row(stores: Stores) -> None:
    job = await stores.accepted(priority=24, traceparent="00-abc-def-01", queue="pdf")
    [row] = await stores.rows(job)
    assert (row.job_id, row.attempt, row.token) == (job.id, 1, 0)
    assert (row.route, row.priority) == (Route("holdfast.jobs", "pdf"), 24)
    assert (row.kind, row.idempotency_key, row.traceparent) == (job.kind, job.idempotency_key, "00-abc-def-01")


async def test_a_scheduled_job_has_no_outbox_row_yet(stores: Stores) -> None:
    job = await stores.accepted(delay=timedelta(hours=1))
    assert (await stores.now(job)).due_at == job.due_at
    assert await stores.rows(job) == []


async def test_the_first_job_of_a_key_owns_it(stores: Stores) -> None:
    first, second = stores.new(key="k"), stores.new(key="k", payload={"say": "another"})
    await stores.ledger.accept([first])
    assert await stores.ledger.accept([second]) == [first]
    assert await stores.ledger.any_job(second.id) is None
    assert await stores.rows(second) == []


async def test_the_first_job_of_a_key_within_a_batch_owns_it(stores: Stores) -> None:
    a1, b, a2, a3 = (stores.new(key=key) for key in ("a", "b", "a", "a"))
    assert await stores.ledger.accept([a1, b, a2, a3]) == [a1, b, a1, a1]
    assert {job.id for job in await stores.ledger.jobs(JobQuery(stores.tenant))} == {a1.id, b.id}


async def test_the_owners_of_keys_come_in_the_order_of_the_keys(stores: Stores) -> None:
    a, b = await stores.accepted(key="a"), await stores.accepted(key="b")
    keys = [(stores.tenant, key) for key in ("b", "nothing", "a", "b")]
    assert await stores.ledger.owners(keys) == [b, None, a, b]


async def test_a_batch_may_mix_fresh_and_known_keys(stores: Stores) -> None:
    known = await stores.accepted(key="known")
    fresh, again = stores.new(key="fresh"), stores.new(key="known")
    assert await stores.ledger.accept([fresh, again]) == [fresh, known]


async def test_the_owner_of_a_key_is_returned_as_it_stands_now(stores: Stores) -> None:
    claim = await stores.settled(Succeeded({"n": 1}), key="k")
    [owner] = await stores.ledger.accept([stores.new(key="k")])
    assert (owner.id, owner.state, owner.result) == (claim.job.id, JobState.SUCCEEDED, {"n": 1})


async def test_accepting_the_same_batch_again_changes_nothing(stores: Stores) -> None:
    batch = [stores.new(), stores.new()]
    await stores.ledger.accept(batch)
    before = [await stores.rows(job) for job in batch]
    assert await stores.ledger.accept(batch) == batch
    assert [await stores.rows(job) for job in batch] == before


async def test_an_empty_batch_is_no_error(stores: Stores) -> None:
    assert await stores.ledger.accept([]) == []


async def test_the_same_key_of_another_tenant_is_another_key(stores: Stores) -> None:
    one, other = stores.new(key="k"), make_job(tenant=stores.tenant + "-other", key="k")
    assert await stores.ledger.accept([one, other]) == [one, other]
    assert await stores.ledger.job(stores.tenant, other.id) is None
    assert await stores.ledger.any_job(other.id) == other
    assert await stores.ledger.job_by_key(other.tenant, "k") == other


async def test_concurrent_batches_that_share_keys_agree_on_the_owners(stores: Stores) -> None:
    keys = [f"shared-{number}" for number in range(20)]
    batches = [[stores.new(key=key) for key in (keys if turn % 2 else keys[::-1])] for turn in range(8)]
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*map(stores.ledger.accept, batches))
    owners: dict[str, set[object]] = {key: set() for key in keys}
    for batch, answer in zip(batches, answers, strict=True):
        for asked, owner in zip(batch, answer, strict=True):
            assert asked.idempotency_key == owner.idempotency_key
            owners[asked.idempotency_key].add(owner.id)
    assert {len(ids) for ids in owners.values()} == {1}
    found = await stores.ledger.jobs(JobQuery(stores.tenant, limit=1000))
    assert len(found) == len(keys)
    assert len([row for job in found for row in await stores.rows(job)]) == len(keys)


async def test_what_is_unknown_is_none(stores: Stores) -> None:
    stranger = stores.new()
    assert await stores.ledger.job(stores.tenant, stranger.id) is None
    assert await stores.ledger.any_job(stranger.id) is None
    assert await stores.ledger.job_by_key(stores.tenant, "nothing") is None
    assert await stores.ledger.owners([]) == []
    assert await stores.ledger.cancel(stores.tenant, stranger.id) is None
    assert await stores.ledger.attempts(stranger.id) == []


async def test_jobs_are_listed_newest_first_and_by_pages(stores: Stores) -> None:
    jobs = await stores.ledger.accept([stores.new() for _ in range(7)])
    newest_first = sorted((job.id for job in jobs), reverse=True)
    seen, before = [], None
    while page := await stores.ledger.jobs(JobQuery(stores.tenant, before=before, limit=3)):
        assert len(page) <= 3
        seen += [job.id for job in page]
        before = page[-1].id
    assert seen == newest_first


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"plain", "tagged", "later", "other kind"}),
        ({"state": JobState.SCHEDULED}, {"later"}),
        ({"state": JobState.QUEUED}, {"plain", "tagged", "other kind"}),
        ({"kind": "test.other"}, {"other kind"}),
        ({"tag": "red"}, {"tagged"}),
        ({"tag": "re"}, set()),
        ({"tag": 'a\\b"c'}, {"tagged"}),
        ({"tag": "red", "state": JobState.SCHEDULED}, set()),
    ],
)
async def test_jobs_are_filtered(stores: Stores, query: dict[str, object], expected: set[str]) -> None:
    await stores.ledger.accept(
        [
            stores.new(key="plain"),
            stores.new(key="tagged", tags=("red", "green", 'a\\b"c')),
            stores.new(key="later", delay=timedelta(hours=1)),
            stores.new(key="other kind", kind="test.other"),
            make_job(tenant=stores.tenant + "-other"),
        ]
    )
    found = await stores.ledger.jobs(JobQuery(stores.tenant, **query))  # type: ignore[arg-type]
    assert {job.idempotency_key for job in found} == expected


async def test_the_ledger_answers_a_ping(stores: Stores) -> None:
    await stores.ledger.ping()
