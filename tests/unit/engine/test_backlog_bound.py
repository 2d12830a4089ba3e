"""What the broker said last decides, and an api that cannot see the broker refuses nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from engine_world import Stopwatch, World

from holdfast.adapters.memory.census import MemoryBrokerCensus
from holdfast.adapters.memory.gate import MemoryGate
from holdfast.domain.backlog import BacklogLimits
from holdfast.domain.errors import BacklogFull, RefusedFor
from holdfast.engine.admission import Admission
from holdfast.engine.backlog_bound import EVERY, STALE, BacklogBound
from holdfast.engine.outbox_bound import OutboxBound
from holdfast.engine.submit import Submit
from holdfast.ports.census import QueueCount
from holdfast.ports.gate import Held, Keyed
from ledger_world import make_request

NOW, HIGH, DEFAULT, LOW = timedelta(0), 24, 12, 4


class Counted(MemoryBrokerCensus):
    """Counts how often it is asked."""

    asked = 0

    async def queues(self) -> dict[str, QueueCount]:
        self.asked += 1
        return dict(await super().queues())


@pytest.fixture
def census() -> Counted:
    return Counted()


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def bound(census: Counted, watch: Stopwatch) -> BacklogBound:
    return BacklogBound(census, BacklogLimits(timedelta(seconds=1000), jobs=1000), watch)


def waiting(census: Counted, ready: int, *, taken: int = 0, consumers: int = 1) -> None:
    census.counts["holdfast.image"] = QueueCount(ready, 0, consumers, taken)


def refused(bound: BacklogBound, due_in: timedelta = NOW) -> list[int]:
    found = []
    for priority in (LOW, DEFAULT, HIGH):
        try:
            bound.check("image", priority, due_in)
        except BacklogFull:
            found.append(priority)
    return found


async def test_the_first_request_is_taken_and_the_look_that_it_began_counts_for_the_next(
    bound: BacklogBound, census: Counted
) -> None:
    waiting(census, 1000)
    assert refused(bound) == []
    await asyncio.sleep(0)
    assert refused(bound) == [LOW, DEFAULT, HIGH]


async def test_low_is_refused_first_and_high_last_and_other_queues_not_at_all(
    bound: BacklogBound, census: Counted
) -> None:
    for ready, expected in ((499, []), (500, [LOW]), (750, [LOW, DEFAULT]), (1000, [LOW, DEFAULT, HIGH])):
        waiting(census, ready)
        await bound.look()
        assert refused(bound) == expected
    bound.check("pdf", LOW, NOW)


async def test_the_refusal_says_where_and_why_and_until_when(
    bound: BacklogBound, census: Counted, watch: Stopwatch
) -> None:
    for taken in range(0, 300, 20):
        waiting(census, 900, taken=taken)
        await bound.look()
        watch.now += 2
    with pytest.raises(BacklogFull, match=r"900 jobs wait in the queue 'image', which takes about 90 s") as error:
        bound.check("image", DEFAULT, NOW)
    assert error.value.reason is RefusedFor.BACKLOG
    assert error.value.retry_after.total_seconds() == pytest.approx(15.0), "150 too many at ten a second"


async def test_a_job_that_is_due_when_the_backlog_will_be_gone_is_taken(
    bound: BacklogBound, census: Counted, watch: Stopwatch
) -> None:
    for taken in range(0, 300, 20):
        waiting(census, 900, taken=taken)
        await bound.look()
        watch.now += 2
    assert refused(bound, timedelta(seconds=89)) == [LOW, DEFAULT]
    assert refused(bound, timedelta(seconds=91)) == []


async def test_a_broker_that_does_not_answer_is_believed_for_a_while_and_then_nothing_is_refused(
    bound: BacklogBound, census: Counted, watch: Stopwatch
) -> None:
    waiting(census, 1000)
    await bound.look()
    census.away = True
    watch.now += STALE
    await bound.look()
    assert refused(bound) == [LOW, DEFAULT, HIGH]
    watch.now += 1
    assert refused(bound) == []


async def test_a_thousand_requests_in_a_moment_are_one_look(
    bound: BacklogBound, census: Counted, watch: Stopwatch
) -> None:
    for _ in range(1000):
        bound.check("image", LOW, NOW)
        await asyncio.sleep(0)
    assert census.asked == 1
    watch.now += EVERY
    bound.check("image", LOW, NOW)
    await asyncio.sleep(0)
    assert census.asked == 2


async def test_a_refused_submit_looks_at_no_payload_asks_no_gate_and_writes_nothing(
    bound: BacklogBound, census: Counted, watch: Stopwatch
) -> None:
    world, gate = World(), MemoryGate()
    waiting(census, 1000)
    await bound.look()
    admission = Admission(OutboxBound(world.ledger, 1000, watch), bound)  # type: ignore[arg-type]
    submit = Submit(world.ledger, gate, world.dispatch, world.kinds, world.clock, world.vault, admission)
    request = make_request(key="k", payload={"not": "valid"})
    with pytest.raises(BacklogFull):
        await submit.submit(request)
    assert not world.ledger.records
    assert await gate.hold([Keyed(request.tenant, "k", b"f" * 32)]) == [Held()]
