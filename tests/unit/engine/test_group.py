"""Group commit: calls share runs, and none suffers for another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from holdfast.domain.errors import LedgerUnavailable
from holdfast.engine.group import ENOUGH, Group
from holdfast.telemetry.label_values import Shared


class Runner:
    """Doubles its items; each run waits for `go` when the test wants it to."""

    def __init__(self) -> None:
        self.runs: list[list[int]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.away = False

    async def __call__(self, items: Sequence[int]) -> list[int]:
        self.runs.append(list(items))
        await self.go.wait()
        if self.away:
            raise LedgerUnavailable("Postgres is away")
        if -1 in items:
            raise ValueError("-1 is a bad item")
        return [2 * item for item in items]


async def under_way(runner: Runner, count: int = 1) -> None:
    async with asyncio.timeout(60):
        while len(runner.runs) < count:
            await asyncio.sleep(0)


async def test_a_lone_call_runs_at_once() -> None:
    runner = Runner()
    assert await Group(runner, Shared.ACCEPT)(21) == 42
    assert runner.runs == [[21]]


async def test_callers_that_come_during_a_run_share_the_next() -> None:
    runner = Runner()
    group = Group(runner, Shared.ACCEPT)
    runner.go.clear()
    first = asyncio.create_task(group(1))
    await under_way(runner)
    others = [asyncio.create_task(group(item)) for item in (2, 3, 4)]
    await asyncio.sleep(0)
    runner.go.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert runner.runs == [[1], [2, 3, 4]]


async def test_after_a_shared_run_the_next_waits_for_enough_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.engine.group.PACE", 3600.0)
    runner = Runner()
    group = Group(runner, Shared.ACCEPT)
    await asyncio.gather(group(1), group(2))
    waiting = [asyncio.create_task(group(item)) for item in range(ENOUGH - 1)]
    await asyncio.sleep(0.01)
    assert runner.runs == [[1, 2]], "those who wait are too few"
    await asyncio.gather(*waiting, group(9))
    assert runner.runs[1:] == [[*range(ENOUGH - 1), 9]]


async def test_one_call_with_many_items_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.engine.group.PACE", 3600.0)
    group = Group(Runner(), Shared.ACCEPT)
    await asyncio.gather(group(1), group(2))
    async with asyncio.timeout(5):
        assert await group.all(range(ENOUGH)) == [0, 2, 4, 6]


async def test_and_no_longer_than_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("holdfast.engine.group.PACE", 0.05)
    runner = Runner()
    group = Group(runner, Shared.ACCEPT)
    await asyncio.gather(group(1), group(2))
    waits = asyncio.create_task(group(3))
    await asyncio.sleep(0)
    assert runner.runs == [[1, 2]]
    async with asyncio.timeout(5):
        assert await waits == 6
    assert await group(4) == 8, "nobody shared the last, so this one waits for nobody"
    assert runner.runs[1:] == [[3], [4]]


async def test_a_run_is_never_larger_than_the_limit() -> None:
    runner = Runner()
    group = Group(runner, Shared.ACCEPT, largest=3)
    assert await asyncio.gather(*map(group, range(8))) == [2 * item for item in range(8)]
    assert max(map(len, runner.runs)) == 3
    assert sum(map(len, runner.runs)) == 8


async def test_one_bad_item_fails_alone() -> None:
    runner = Runner()
    answers = await asyncio.gather(*map(Group(runner, Shared.ACCEPT), (1, -1, 3)), return_exceptions=True)
    assert (answers[0], answers[2]) == (2, 6)
    assert isinstance(answers[1], ValueError)


async def test_a_dependency_that_is_away_fails_all_in_one_call() -> None:
    runner = Runner()
    runner.away = True
    answers = await asyncio.gather(*map(Group(runner, Shared.ACCEPT), (1, 2, 3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [LedgerUnavailable] * 3
    assert runner.runs == [[1, 2, 3]], "asking item by item would triple the load on what is down already"


async def test_after_a_failure_the_group_goes_on() -> None:
    runner = Runner()
    group = Group(runner, Shared.ACCEPT)
    with pytest.raises(ValueError, match="bad item"):
        await group(-1)
    assert await group(5) == 10


async def test_a_caller_that_gives_up_does_not_take_the_others_along() -> None:
    runner = Runner()
    group = Group(runner, Shared.ACCEPT)
    runner.go.clear()
    first = asyncio.create_task(group(1))
    await under_way(runner)
    second, third = asyncio.create_task(group(2)), asyncio.create_task(group(3))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.sleep(0)
    runner.go.set()
    assert await third == 6
    assert runner.runs == [[1], [2, 3]], "the runs of those who gave up were made all the same"
    assert first.cancelled()
    assert second.cancelled()


async def test_what_comes_in_one_call_is_answered_in_its_order_whatever_the_limit() -> None:
    runner = Runner()
    group = Group(runner, Shared.ACCEPT, largest=3)
    many, one, none = await asyncio.gather(group.all(range(7)), group(50), group.all([]))
    assert (many, one, none) == ([2 * item for item in range(7)], 100, [])
    assert runner.runs == [[0, 1, 2], [3, 4, 5], [6, 50]]


async def test_a_bad_item_of_a_call_is_an_answer_among_the_others() -> None:
    one, bad, other = await Group(Runner(), Shared.ACCEPT).all([1, -1, 3])
    assert (one, other) == (2, 6)
    assert isinstance(bad, ValueError)
