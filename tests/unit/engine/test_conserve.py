"""The arithmetic of conservation, and when a number counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from engine_world import World, ticket

from holdfast.adapters.memory.census import MemoryBrokerCensus, MemoryCensus
from holdfast.domain.attempt import Retry
from holdfast.domain.backoff import LONGEST_BROKER_WAIT
from holdfast.domain.job import JobState
from holdfast.domain.topology import DEAD
from holdfast.engine.conserve import SETTLED_FOR, Conservation, missing
from holdfast.ports.census import Bulkhead, LedgerCount, Place, QueueCount
from ledger_world import BROKEN, granted, make_job, settlement

QUEUES = MemoryBrokerCensus().counts
IMAGE = "holdfast.image"


def ledger_count(**bulkheads: Bulkhead) -> LedgerCount:
    known = {name: Bulkhead() for name in ("image", "pdf", "webhook", "custom")}
    return LedgerCount({}, {}, known | bulkheads, 0, timedelta(0), {})


def short(jobs: Bulkhead, queue: QueueCount, **others: QueueCount) -> int:
    queues: Mapping[str, QueueCount] = QUEUES | {IMAGE: queue} | {f"holdfast.{name}": c for name, c in others.items()}
    return missing(ledger_count(image=jobs), queues)["image"]


@pytest.mark.parametrize(
    ("jobs", "queue", "expected"),
    [
        (Bulkhead(home=10), QueueCount(ready=10), 0),
        (Bulkhead(home=10), QueueCount(ready=7), 3),
        (Bulkhead(home=10), QueueCount(ready=12), 0),
        (Bulkhead(home=10, running=4), QueueCount(ready=8, unacked=6), 0),
        (Bulkhead(home=10, running=4), QueueCount(ready=8, unacked=4), 2),
        (Bulkhead(home=10, running=4), QueueCount(ready=10, unacked=0), 0),
        (Bulkhead(), QueueCount(unacked=3), 0),
    ],
    ids=["balanced", "lost", "duplicated", "prefetched", "hidden by none that runs", "worker lost", "settled"],
)
def test_what_is_missing_from_a_work_queue(jobs: Bulkhead, queue: QueueCount, expected: int) -> None:
    assert short(jobs, queue) == expected


def test_a_message_in_the_dead_queue_stands_in_for_one_ticket_of_any_bulkhead() -> None:
    ledger = ledger_count(image=Bulkhead(home=3), pdf=Bulkhead(home=2))
    found = missing(ledger, QUEUES | {DEAD: QueueCount(ready=3, unacked=1)})
    assert sum(found.values()) == 1


def test_a_surplus_of_one_bulkhead_does_not_hide_the_loss_of_another() -> None:
    assert short(Bulkhead(home=5), QueueCount(), pdf=QueueCount(ready=50)) == 5


class Scene:
    """The engine in memory, and a broker that says what the test tells it to."""

    def __init__(self, world: World) -> None:
        self.world, self.broker = world, MemoryBrokerCensus()
        census = MemoryCensus(world.ledger, world.dead_letters)
        self.conservation = Conservation(census, self.broker, world.ledger, world.dispatch)

    async def looks(self, times: int = 3) -> Mapping[str, int] | None:
        found = None
        for _ in range(times):
            self.world.clock.pass_by(seconds=10)
            found = (await self.conservation.look()).unaccounted
        return found

    def queue(self, **counts: Any) -> None:
        self.broker.counts[IMAGE] = QueueCount(**counts)


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world)


async def test_a_loss_counts_at_the_third_look_and_is_repaired(scene: Scene) -> None:
    jobs = [await scene.world.accepted() for _ in range(3)]
    scene.world.clock.pass_by(seconds=SETTLED_FOR.total_seconds())
    scene.queue(ready=1)
    assert await scene.looks(2) is None
    assert await scene.conservation.repair() == {}
    assert (await scene.looks(1) or {})["image"] == 2
    before = len(scene.world.broker.published)
    assert await scene.conservation.repair() == {"image": 2}
    assert [e.job_id for e in scene.world.broker.published[before:]] == [job.id for job in jobs[:2]], "oldest first"
    assert scene.world.ledger.outbox == {}
    assert (await scene.looks(1) or {})["image"] == 0


async def test_the_next_repair_goes_on_to_jobs_that_the_first_did_not_reach(scene: Scene) -> None:
    jobs = [await scene.world.accepted() for _ in range(3)]
    scene.world.clock.pass_by(seconds=60)
    scene.queue(ready=2)
    repaired = []
    for _ in range(3):
        await scene.looks(5)
        before = len(scene.world.broker.published)
        await scene.conservation.repair()
        repaired += [e.job_id for e in scene.world.broker.published[before:]]
    assert repaired == [job.id for job in jobs]


async def test_one_look_that_finds_everything_takes_the_suspicion_away(scene: Scene) -> None:
    await scene.world.accepted()
    scene.world.clock.pass_by(seconds=60)
    await scene.looks(2)
    scene.queue(ready=1)
    assert (await scene.looks(1) or {})["image"] == 0
    scene.queue()
    assert (await scene.looks(2) or {})["image"] == 0


async def test_without_the_broker_nothing_is_known_and_the_count_begins_anew(scene: Scene) -> None:
    await scene.world.accepted()
    scene.world.clock.pass_by(seconds=60)
    await scene.looks(3)
    scene.broker.away = True
    assert await scene.looks(1) is None
    assert await scene.conservation.repair() == {}
    scene.broker.away = False
    assert await scene.looks(2) is None


async def test_a_new_job_is_not_expected_in_the_brokers_count_yet(scene: Scene) -> None:
    await scene.looks(2)
    await scene.world.accepted()
    assert (await scene.looks(1) or {})["image"] == 0


async def test_a_ticket_that_was_confirmed_late_is_not_expected_yet(scene: Scene) -> None:
    scene.world.broker.away.calls = 1
    await scene.world.accepted()
    scene.world.clock.pass_by(seconds=600)
    await scene.looks(2)
    await scene.world.dispatch.send_all(await scene.world.ledger.unconfirmed(timedelta(0), 10))
    await scene.world.dispatch.idle()
    assert (await scene.looks(1) or {})["image"] == 0
    assert (await scene.looks(4) or {})["image"] == 1, "later it is"


async def test_a_waiting_job_is_expected_only_when_its_wait_must_be_over(scene: Scene) -> None:
    job = await scene.world.accepted()
    world = scene.world
    claim = granted(await world.ledger.claim(ticket(world.broker.published[0]), "w", timedelta(seconds=10)))
    await world.ledger.settle(claim, settlement(claim, Retry(BROKEN)))
    await world.dispatch.send_all(list(world.ledger.outbox.values()))
    await world.dispatch.idle()
    assert (await world.job(job)).state is JobState.WAITING
    assert (await scene.looks(3) or {})["image"] == 0
    world.clock.pass_by(seconds=LONGEST_BROKER_WAIT.total_seconds())
    assert (await scene.looks(3) or {})["image"] == 1
    assert await scene.conservation.repair() == {"image": 1}
    assert (await world.job(job)).attempt == 2


async def test_a_job_that_was_claimed_meanwhile_gets_no_second_ticket(scene: Scene) -> None:
    await scene.world.accepted()
    scene.world.clock.pass_by(seconds=60)
    await scene.looks(3)
    await scene.world.ledger.claim(ticket(scene.world.broker.published[0]), "w", timedelta(seconds=10))
    assert await scene.conservation.repair() == {"image": 0}


async def test_every_open_job_is_in_exactly_one_place(scene: Scene) -> None:
    world = scene.world
    await world.accepted()
    await world.accepted(delay=timedelta(hours=1))
    world.broker.away.calls = 1
    await world.accepted()
    await world.ledger.accept([make_job(lane="a")])
    for lease in (1, 3600):
        await world.accepted()
        await world.ledger.claim(ticket(world.broker.published[-1]), "w", timedelta(seconds=lease))
    world.clock.pass_by(seconds=10)
    seen = (await scene.conservation.look()).ledger
    assert dict(seen.places) == dict.fromkeys(Place, 1)
    assert sum(seen.states.values()) == 6
    assert seen.outbox_rows == 1
    assert seen.outbox_oldest == timedelta(seconds=10)
