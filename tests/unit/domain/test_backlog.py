"""A queue refuses the less urgent first, and what it says of the wait is what it measured."""

from __future__ import annotations

from datetime import timedelta

import pytest

from holdfast.domain.backlog import (
    A_FEW,
    AGES,
    LONGEST,
    UNKNOWN,
    Backlog,
    BacklogLimits,
    Band,
    Depth,
    DrainRate,
    band_of,
)

LIMITS = BacklogLimits(wait=timedelta(seconds=1000), jobs=10_000)
BANDS = (Band.LOW, Band.DEFAULT, Band.HIGH)


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def measured(*, rate: float, looks: int, lag: float = 0.0, ready: int = 500, consumers: int = 1) -> DrainRate:
    """A queue that is worked off at `rate`, looked at every two seconds, whose counters move every `lag` seconds."""
    drain = DrainRate()
    for at in range(0, looks * 2, 2):
        counted = at // lag * lag if lag else at
        drain.observe(Depth(ready, int(counted * rate), consumers, float(at)))
    return drain


@pytest.mark.parametrize(
    ("priority", "band"),
    [
        (0, Band.LOW),
        (4, Band.LOW),
        (11, Band.LOW),
        (12, Band.DEFAULT),
        (23, Band.DEFAULT),
        (24, Band.HIGH),
        (31, Band.HIGH),
    ],
)
def test_every_priority_is_in_the_band_of_its_namesake(priority: int, band: str) -> None:
    assert band_of(priority) is Band(band)


@pytest.mark.parametrize(
    ("ready", "refused"),
    [(4_999, []), (5_000, ["low"]), (7_500, ["low", "default"]), (10_000, ["low", "default", "high"])],
)
def test_by_number_low_is_refused_first_and_high_last(ready: int, refused: list[str]) -> None:
    backlog = Backlog(ready, per_second=1000.0)
    assert [band for band in BANDS if backlog.excess(band, LIMITS) is not None] == refused


@pytest.mark.parametrize(
    ("rate", "refused"),
    [(4.1, []), (3.0, ["low"]), (2.1, ["low"]), (1.9, ["low", "default"]), (0.9, ["low", "default", "high"])],
)
def test_by_wait_low_is_refused_first_and_high_last(rate: float, refused: list[str]) -> None:
    backlog = Backlog(2_000 if rate > 2.5 else 1_500 if rate > 1 else 1_000, rate)
    assert [band for band in BANDS if backlog.excess(band, LIMITS) is not None] == refused


def test_the_caller_is_sent_away_until_there_is_room_at_the_measured_rate() -> None:
    assert Backlog(5_300, 10.0).excess(Band.LOW, LIMITS) == seconds(30)
    assert Backlog(1_200, 2.0).excess(Band.LOW, LIMITS) == seconds(100)
    assert Backlog(9_999, 0.001).excess(Band.HIGH, LIMITS) == LONGEST
    assert Backlog(10_001, None).excess(Band.HIGH, LIMITS) == UNKNOWN


def test_without_a_rate_only_the_number_counts() -> None:
    assert Backlog(4_999, None).excess(Band.LOW, LIMITS) is None
    assert Backlog(9_999, None).excess(Band.HIGH, LIMITS) is None


def test_a_few_jobs_are_no_backlog_however_slow_the_queue_is() -> None:
    assert Backlog(A_FEW - 1, 0.0).excess(Band.LOW, LIMITS) is None
    assert Backlog(A_FEW, 0.0).excess(Band.LOW, LIMITS) == LONGEST


def test_what_waits_now_is_through_after_its_wait() -> None:
    assert Backlog(300, 10.0).holds_until() == seconds(30)
    assert Backlog(300, None).holds_until() == LONGEST
    assert Backlog(300, 0.0).holds_until() == AGES


@pytest.mark.parametrize("lag", [0.0, 5.0])
def test_the_rate_is_measured_also_from_counters_that_move_every_five_seconds(lag: float) -> None:
    assert measured(rate=50.0, looks=20, lag=lag).per_second == pytest.approx(50.0, rel=0.2)


def test_a_rate_counts_once_enough_was_seen() -> None:
    assert measured(rate=50.0, looks=5).per_second is None
    assert measured(rate=50.0, looks=7).per_second == pytest.approx(50.0)


def test_a_queue_that_is_empty_or_has_no_consumers_tells_nothing_of_how_fast_it_is() -> None:
    assert measured(rate=1.0, looks=100, ready=0).per_second is None
    drain = measured(rate=50.0, looks=20)
    for at in range(40, 400, 2):
        drain.observe(Depth(9_000, 2_000, 0, float(at)))
    assert drain.per_second == pytest.approx(50.0)


def test_a_queue_whose_workers_take_nothing_more_slows_down_to_a_stand() -> None:
    drain, rates = measured(rate=50.0, looks=20), list[float]()
    for at in range(40, 1200, 2):
        drain.observe(Depth(9_000, 1_900, 1, float(at)))
        assert drain.per_second is not None
        rates.append(drain.per_second)
    assert rates == sorted(rates, reverse=True)
    assert rates[15] < 50 * 0.5 and rates[-1] == 0.0


def test_counters_that_begin_anew_are_not_taken_for_work() -> None:
    drain = measured(rate=50.0, looks=20)
    drain.observe(Depth(500, 3, 1, 40.0))
    drain.observe(Depth(500, 103, 1, 42.0))
    assert drain.per_second == pytest.approx(50.0)
