"""A busy worker asks ECS not to be let go, and does not ask for ever."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from ecs_agent import EcsAgent
from holdfast.adapters.ecs.protection import EcsProtection
from holdfast.domain.errors import ProtectionUnavailable
from holdfast.worker.holding_on import IDLE, LEASE, LOOK_EVERY, MOST, PAUSE, RENEW, HoldingOn

MINUTES = timedelta(minutes=1)


@dataclass
class Wishes:
    """Implements `ports.protection.Protection`: keeps what was asked, and is away when told to be."""

    asked: list[str] = field(default_factory=list)
    away: bool = False

    def hold(self, lasts: timedelta) -> None:
        self._ask(f"hold {lasts / MINUTES:.0f}")

    def let_go(self) -> None:
        self._ask("let go")

    def _ask(self, wish: str) -> None:
        self.asked.append(wish)
        if self.away:
            raise ProtectionUnavailable("away")


@dataclass
class Day:
    """A worker's time, look by look."""

    wishes: Wishes = field(default_factory=Wishes)
    time: float = 1000.0
    jobs: int = 0

    def __post_init__(self) -> None:
        self._holding = HoldingOn(self.wishes, lambda: self.jobs, lambda: self.time)

    def goes_on(self, seconds: float, jobs: int) -> list[str]:
        """What is asked within this time, with so many jobs in hand."""
        self.jobs, before = jobs, len(self.wishes.asked)
        for _ in range(int(seconds / LOOK_EVERY)):
            self._holding.look()
            self.time += LOOK_EVERY
        return self.wishes.asked[before:]


HOLD = f"hold {LEASE / MINUTES:.0f}"


def test_an_idle_worker_asks_for_nothing() -> None:
    assert Day().goes_on(3600, jobs=0) == []


def test_a_busy_worker_is_held_at_the_first_look() -> None:
    assert Day().goes_on(LOOK_EVERY, jobs=1) == [HOLD]


def test_a_busy_worker_is_held_again_before_its_lease_is_over() -> None:
    assert Day().goes_on(3 * RENEW, jobs=1) == [HOLD] * 3
    assert LEASE.total_seconds() / 2 > RENEW


def test_a_worker_without_jobs_is_let_go_after_a_moment_and_once() -> None:
    day = Day()
    day.goes_on(30, jobs=1)
    assert day.goes_on(IDLE - LOOK_EVERY, jobs=0) == []
    assert day.goes_on(600, jobs=0) == ["let go"]


def test_a_pause_between_two_bursts_is_no_reason_to_ask() -> None:
    day = Day()
    day.goes_on(LOOK_EVERY, jobs=1)
    day.goes_on(IDLE - LOOK_EVERY, jobs=0)
    assert day.goes_on(LOOK_EVERY, jobs=1) == []


def test_a_worker_that_is_always_busy_may_be_replaced_now_and_then() -> None:
    day = Day()
    asked = day.goes_on(MOST + LOOK_EVERY, jobs=1)
    assert asked[-1] == "let go"
    assert day.goes_on(PAUSE - LOOK_EVERY, jobs=1) == []
    assert day.goes_on(LOOK_EVERY, jobs=1) == [HOLD]


def test_an_agent_that_is_away_is_asked_again_and_harms_nobody() -> None:
    day = Day(Wishes(away=True))
    assert day.goes_on(2 * LOOK_EVERY, jobs=1) == [HOLD, HOLD]
    day.wishes.away = False
    assert day.goes_on(2 * LOOK_EVERY, jobs=1) == [HOLD]


def test_an_agent_that_is_away_does_not_take_the_pause_away() -> None:
    day = Day()
    day.goes_on(MOST, jobs=1)
    day.wishes.away = True
    assert day.goes_on(PAUSE, jobs=1) == ["let go"]


@pytest.fixture
def agent() -> Iterator[EcsAgent]:
    with EcsAgent.running() as running:
        yield running


def test_the_agent_is_asked_in_whole_minutes(agent: EcsAgent) -> None:
    EcsProtection(agent.url).hold(timedelta(seconds=61))
    assert agent.got == [
        ("/task-protection/v1/state", {"ProtectionEnabled": True, "ExpiresInMinutes": 2}),
    ]


def test_the_agent_is_told_to_let_go(agent: EcsAgent) -> None:
    EcsProtection(agent.url + "/").let_go()
    assert agent.got == [("/task-protection/v1/state", {"ProtectionEnabled": False})]


@pytest.mark.parametrize(
    "says",
    [
        (200, b'{"failure": {"Arn": "arn:aws:ecs:::task/1", "Reason": "DEPLOYMENT_BLOCKED"}}'),
        (400, b'{"error": {"Code": "AccessDeniedException", "Message": "no"}}'),
        (500, b"what?"),
    ],
    ids=["refused", "forbidden", "broken"],
)
def test_a_refusal_is_unavailable(agent: EcsAgent, says: tuple[int, bytes]) -> None:
    agent.says = says
    with pytest.raises(ProtectionUnavailable):
        EcsProtection(agent.url).hold(LEASE)


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(ProtectionUnavailable, match="does not answer"):
        EcsProtection("http://127.0.0.1:1").let_go()
