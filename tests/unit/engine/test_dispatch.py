"""From the outbox to the broker: a row goes when its confirm has come, and not before."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from engine_world import World

from holdfast.domain.envelope import Envelope
from ledger_world import make_job


async def a_row(world: World) -> Envelope:
    job = make_job(now=world.clock.now())
    await world.ledger.accept([job])
    return next(row for row in world.ledger.outbox.values() if row.job_id == job.id)


async def test_a_confirmed_message_loses_its_row(world: World) -> None:
    row = await a_row(world)
    assert await world.dispatch.send(row)
    await world.dispatch.idle()
    assert (world.broker.published, world.ledger.outbox) == ([row], {})


async def test_a_broker_that_is_away_defers_the_message(world: World) -> None:
    row = await a_row(world)
    world.broker.away.calls = 1
    assert not await world.dispatch.send(row)
    assert list(world.ledger.outbox.values()) == [row]
    assert await world.dispatch.send(row)


async def test_a_message_whose_confirm_was_lost_keeps_its_row_and_goes_twice(world: World) -> None:
    row = await a_row(world)
    world.broker.mute.calls = 1
    assert not await world.dispatch.send(row)
    assert list(world.ledger.outbox.values()) == [row]
    assert await world.dispatch.send(row)
    await world.dispatch.idle()
    assert (world.broker.published, world.ledger.outbox) == ([row, row], {})


async def test_a_late_confirm_does_not_delete_the_row_of_a_newer_message(world: World) -> None:
    old = await a_row(world)
    newer = await world.ledger.reissue(old.job_id, 1)
    await world.dispatch.send(old)
    await world.dispatch.idle()
    assert list(world.ledger.outbox.values()) == [newer]


async def test_a_ledger_that_is_away_keeps_the_row_and_says_so(world: World) -> None:
    row = await a_row(world)
    world.ledger.away.calls = -1
    with structlog.testing.capture_logs() as logs:
        assert await world.dispatch.send(row)
        await world.dispatch.idle()
    assert [entry["event"] for entry in logs] == ["outbox_row_kept"]
    world.ledger.away.calls = 0
    assert list(world.ledger.outbox.values()) == [row]


async def test_many_are_sent_at_once_and_the_confirmed_ones_counted(world: World) -> None:
    rows = [await a_row(world) for _ in range(10)]
    world.broker.away.calls = 3
    assert await world.dispatch.send_all(rows) == 7
    await world.dispatch.idle()
    assert len(world.ledger.outbox) == 3


async def test_of_many_only_what_is_confirmed_is_forgotten_in_one_statement(world: World) -> None:
    rows = [await a_row(world) for _ in range(4)]
    world.broker.mute.calls = 1
    told: list[int] = []
    confirmed = world.ledger.confirmed

    async def counted(sent: Sequence[Envelope]) -> None:
        told.append(len(sent))
        await confirmed(sent)

    world.ledger.confirmed = counted  # type: ignore[method-assign]
    assert await world.dispatch.send_all(rows) == 3
    await world.dispatch.idle()
    assert told == [3]
    assert list(world.ledger.outbox.values()) == rows[:1]
