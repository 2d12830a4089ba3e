"""Jobs are refused past the bound of the outbox, and the counting costs nothing to speak of."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from engine_world import Stopwatch, World

from holdfast.adapters.memory.census import MemoryBrokerCensus
from holdfast.adapters.memory.gate import MemoryGate
from holdfast.domain.backlog import BacklogLimits
from holdfast.domain.errors import LedgerUnavailable, OutboxFull
from holdfast.engine.admission import Admission
from holdfast.engine.backlog_bound import BacklogBound
from holdfast.engine.outbox_bound import EVERY, OutboxBound
from holdfast.engine.submit import Submit
from holdfast.ports.gate import Held, Keyed
from ledger_world import make_request


@dataclass
class Sized:
    """An outbox of which only the size matters."""

    rows: int = 0
    away: bool = False
    asked: list[int] = field(default_factory=list)

    async def size(self, at_most: int) -> int:
        self.asked.append(at_most)
        if self.away:
            raise LedgerUnavailable("Postgres is away")
        return min(self.rows, at_most)


@pytest.fixture
def outbox() -> Sized:
    return Sized()


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def bound(outbox: Sized, watch: Stopwatch) -> OutboxBound:
    return OutboxBound(outbox, 3, watch)  # type: ignore[arg-type]


async def looked(bound: OutboxBound, watch: Stopwatch) -> None:
    """Let a second pass, and the next request's count end."""
    watch.now += EVERY
    with contextlib.suppress(OutboxFull):
        bound.check()
    for _ in range(5):
        await asyncio.sleep(0)


async def test_below_the_bound_nothing_is_refused(bound: OutboxBound, outbox: Sized, watch: Stopwatch) -> None:
    outbox.rows = 2
    await looked(bound, watch)
    bound.check()


async def test_at_the_bound_jobs_are_refused_until_there_is_room(
    bound: OutboxBound, outbox: Sized, watch: Stopwatch
) -> None:
    outbox.rows = 4
    await looked(bound, watch)
    with pytest.raises(OutboxFull, match="3 messages wait for RabbitMQ"):
        bound.check()
    outbox.rows = 2
    await looked(bound, watch)
    bound.check()


async def test_a_thousand_requests_in_a_second_count_once(bound: OutboxBound, outbox: Sized) -> None:
    for _ in range(1000):
        bound.check()
        await asyncio.sleep(0)
    assert outbox.asked == [3], "and never past the bound"


async def test_a_ledger_that_is_away_changes_nothing(bound: OutboxBound, outbox: Sized, watch: Stopwatch) -> None:
    outbox.rows = 3
    await looked(bound, watch)
    outbox.away = True
    await looked(bound, watch)
    with pytest.raises(OutboxFull):
        bound.check()


async def test_a_refused_submit_asks_no_gate_and_writes_nothing(
    bound: OutboxBound, outbox: Sized, watch: Stopwatch
) -> None:
    world, gate = World(), MemoryGate()
    outbox.rows = 3
    await looked(bound, watch)
    admission = Admission(bound, BacklogBound(MemoryBrokerCensus(), BacklogLimits(timedelta(1), 10), watch))
    submit = Submit(world.ledger, gate, world.dispatch, world.kinds, world.clock, world.vault, admission)
    request = make_request(key="k")
    with pytest.raises(OutboxFull):
        await submit.submit(request)
    assert not world.ledger.records
    assert await gate.hold([Keyed(request.tenant, "k", b"f" * 32)]) == [Held()]
