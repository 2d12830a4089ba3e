"""Forgetting: what goes, in which order, and what a crash in between leaves."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from engine_world import World, ticket
from pydantic import ValidationError

from holdfast.adapters.memory.retention import MemoryRetention
from holdfast.domain.attempt import Succeeded
from holdfast.domain.errors import ArtifactsUnavailable
from holdfast.domain.job import Job
from holdfast.engine.retain import Retain
from holdfast.settings import Settings
from ledger_world import granted, settlement

WEEK = timedelta(days=7)


class Store:
    """Artifacts by key; may be away."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.away = False
        self.asked: list[tuple[str, datetime]] = []

    async def delete(self, prefix: str) -> int:
        if self.away:
            raise ArtifactsUnavailable("the store is away")
        gone = {key for key in self.keys if key.startswith(f"{prefix}/")}
        self.keys -= gone
        return len(gone)

    async def delete_older(self, prefix: str, before: datetime) -> int:
        self.asked.append((prefix, before))
        return 0


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def retain(world: World, store: Store) -> Retain:
    retention = MemoryRetention(world.ledger, world.dead_letters)
    return Retain(retention, store, world.clock, succeeded=WEEK, dead=4 * WEEK)  # type: ignore[arg-type]


async def succeeded(world: World, store: Store) -> Job:
    job = await world.accepted()
    claim = granted(await world.ledger.claim(ticket(world.broker.published[-1]), "w", WEEK))
    store.keys.add(f"jobs/{job.id}/{claim.token}/a.png")
    await world.ledger.settle(claim, settlement(claim, Succeeded({})))
    return job


async def test_a_job_goes_with_its_artifacts_when_its_time_is_over(world: World, store: Store, retain: Retain) -> None:
    job = await succeeded(world, store)
    world.clock.pass_by(days=6.9)
    assert not await retain.turn()
    assert store.keys
    world.clock.pass_by(days=0.2)
    await retain.turn()
    assert store.keys == set()
    assert await world.ledger.any_job(job.id) is None


async def test_without_the_store_the_job_stays_so_that_nothing_is_left_unnamed(
    world: World, store: Store, retain: Retain
) -> None:
    job = await succeeded(world, store)
    world.clock.pass_by(days=8)
    store.away = True
    with pytest.raises(ArtifactsUnavailable):
        await retain.turn()
    assert await world.job(job)
    store.away = False
    await retain.turn()
    assert await world.ledger.any_job(job.id) is None


async def test_uploads_are_kept_as_long_as_dead_jobs_that_may_be_replayed(
    world: World, store: Store, retain: Retain
) -> None:
    await retain.turn()
    assert store.asked == [("uploads", world.clock.now() - 4 * WEEK)]


async def test_a_full_batch_asks_for_another_turn(
    world: World, store: Store, retain: Retain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.engine.retain.BATCH", 2)
    for _ in range(3):
        await succeeded(world, store)
    world.clock.pass_by(days=8)
    assert [await retain.turn(), await retain.turn()] == [True, False]


@pytest.mark.parametrize("name", ["retain_succeeded_days", "retain_dead_days"])
@pytest.mark.parametrize("days", [0.99, 0, -1, float("nan")])
def test_nothing_is_forgotten_within_the_time_for_which_keys_are_promised(name: str, days: float) -> None:
    with pytest.raises(ValidationError, match="24 hours"):
        Settings(**{name: days})  # type: ignore[arg-type]
    assert Settings(**{name: 1}), "a day will do"  # type: ignore[arg-type]
