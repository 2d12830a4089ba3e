"""The limit follows what the process can do, and a burst is told from an overload."""

from __future__ import annotations

import pytest
from event_loop_simulation import CAPACITY, Simulation, milliseconds

from holdfast.domain.concurrency import (
    BURST,
    FIRST,
    LATE,
    LEAST,
    LITTLE,
    LONGEST,
    MOST,
    PAUSE,
    SPARE,
    WINDOW,
    ConcurrencyLimit,
    Crowd,
)


def limit_with(under_way: int, *, lateness: float) -> ConcurrencyLimit:
    """A process that has so much under way, and whose callbacks have been so late for a while."""
    limit = busy()
    limit.begin(under_way)
    for _ in range(100):
        limit.turned(lateness, 0.0, 0.0)
    return limit


def busy(working: float = 1.0) -> ConcurrencyLimit:
    """One that has worked for such a part of the time."""
    limit = ConcurrencyLimit()
    for look in range(11):
        limit.turned(0.0, (look - 10) * WINDOW, working * look * WINDOW)
    return limit


def test_a_standing_queue_is_held_to_the_limit() -> None:
    limit = limit_with(int(FIRST), lateness=LATE * 0.9)
    assert not limit.has_room(1)
    limit.end(1)
    assert limit.has_room(1)


def test_a_burst_on_a_process_with_time_to_spare_is_let_in_however_long_its_answers_wait_for_others() -> None:
    limit = limit_with(int(BURST) - 1, lateness=SPARE / 2)
    assert limit.has_room(1)
    assert not limit.has_room(2)


def test_a_moment_with_nothing_under_way_does_not_end_an_overload() -> None:
    limit = limit_with(int(FIRST), lateness=LATE * 0.9)
    limit.end(int(FIRST))
    limit.begin(int(FIRST))
    assert not limit.has_room(1)


def test_what_is_alone_has_room_whatever_it_counts_for() -> None:
    limit = ConcurrencyLimit(limit=LEAST)
    assert limit.has_room(1000)


def test_the_limit_shrinks_while_callbacks_are_late_but_once_for_what_is_one_cause() -> None:
    limit = busy()
    for _ in range(50):
        limit.turned(LATE * 2, 0.0, 0.0)
    assert limit.limit == pytest.approx(FIRST * 0.8)
    limit.turned(LATE * 2, PAUSE * 1.01, 0.0)
    assert limit.limit == pytest.approx(FIRST * 0.64)
    for _ in range(50):
        limit.turned(0.0, 0.03, 0.0)
    limit.turned(LATE / 2, 0.09, 0.0)
    assert limit.limit == pytest.approx(FIRST * 0.64)


def test_a_process_that_works_little_is_late_for_other_reasons_than_its_requests() -> None:
    limit = busy(working=LITTLE * 0.9)
    limit.begin(int(FIRST))
    for _ in range(50):
        limit.turned(LATE * 5, 0.0, 0.0)
    assert limit.limit == FIRST
    assert limit.has_room(1)
    limit.turned(LATE * 5, WINDOW * 1.01, LITTLE * 9 * WINDOW + WINDOW)
    assert not limit.has_room(1)


def test_a_single_late_callback_or_slow_answer_is_no_overload() -> None:
    limit = ConcurrencyLimit()
    for second in range(100):
        limit.turned(LATE * 5 if second % 20 == 10 else 0.0, float(second), float(second))
        limit.answered(0.1 if second % 20 == 10 else 0.005, 1, float(second))
    assert limit.limit == FIRST


def test_the_limit_never_shrinks_to_nothing_and_never_grows_without_end() -> None:
    limit = ConcurrencyLimit()
    for second in range(100):
        limit.turned(1.0, float(second), float(second))
    assert limit.limit == LEAST
    for _ in range(100_000):
        limit.answered(0.001, 1000, 100.0)
    assert limit.limit == MOST


def test_the_limit_grows_only_while_it_is_what_holds_requests_back() -> None:
    limit = ConcurrencyLimit()
    for _ in range(1000):
        limit.answered(0.005, 3, 1.0)
    assert limit.limit == FIRST
    for _ in range(int(FIRST)):
        limit.answered(0.005, int(FIRST), 1.0)
    assert limit.limit == pytest.approx(FIRST + 1, abs=0.1)


def test_answers_that_wait_in_another_queue_shrink_it_and_a_ledger_that_is_slow_for_everybody_does_not() -> None:
    queueing, slow = ConcurrencyLimit(), ConcurrencyLimit()
    for number in range(100):
        queueing.answered(0.010 if number < 50 else 0.060, 1, number / 10)
        slow.answered(0.200, 1, number / 10)
    assert queueing.limit == LEAST
    assert slow.limit == FIRST


def test_the_best_is_forgotten_when_times_have_changed() -> None:
    limit = ConcurrencyLimit()
    for second in range(200):
        limit.answered(0.005 if second < 20 else 0.060, 1, float(second))
    before = limit.limit
    limit.answered(0.060, 1, 200.0)
    assert limit.limit == before


@pytest.mark.parametrize(("offered", "seconds"), [(1, 1), (3, 2), (8, 7), (1000, LONGEST)])
def test_callers_are_sent_away_for_as_long_as_it_takes_to_let_all_of_them_in(offered: int, seconds: int) -> None:
    crowd = Crowd()
    assert crowd.retry_after() == 1
    for index in range(offered * 10):  # one in `offered` is let in
        crowd.count(0.0, admitted=index % offered == 0)
    crowd.count(1.0, admitted=True)
    assert crowd.retry_after() == seconds


@pytest.mark.parametrize("seed", range(3))
def test_a_process_that_is_offered_three_times_what_it_can_do_answers_in_time_and_refuses_quickly(seed: int) -> None:
    process = Simulation(ConcurrencyLimit(), rate=3 * CAPACITY, seed=seed)
    process.run(20.0)
    assert milliseconds(process.accepted, 0.99) < 50
    assert milliseconds(process.refused, 0.99) < 10
    assert len(process.accepted) / 20 > CAPACITY / 5, "the rest of its time it refuses"


def test_the_simulation_without_a_limit_answers_nobody_in_time() -> None:
    process = Simulation(None, rate=3 * CAPACITY)
    process.run(5.0)
    assert milliseconds(process.accepted, 0.5) > 1000


@pytest.mark.parametrize(("load", "at_most"), [(0.3, 0.0), (0.5, 0.002), (0.8, 0.03)])
def test_below_its_capacity_a_process_refuses_next_to_nobody(load: float, at_most: float) -> None:
    process = Simulation(ConcurrencyLimit(), rate=load * CAPACITY)
    process.run(20.0)
    assert len(process.refused) <= at_most * len(process.accepted)
    assert milliseconds(process.accepted, 0.99) < 50


def test_when_the_load_falls_the_overload_is_over_at_once() -> None:
    limit = ConcurrencyLimit()
    Simulation(limit, rate=3 * CAPACITY).run(5.0)
    limit.under_way = 0
    after = Simulation(limit, rate=0.3 * CAPACITY, now=5.0)
    after.run(6.0)
    assert len(after.refused) <= 0.05 * len(after.accepted)
