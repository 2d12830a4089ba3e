"""How long a job waits: never less than promised, never more than a third on top."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.backoff import JITTER_STEPS, TIERS, BrokerWait, LedgerWait, RetryPolicy, Wait, place, ttl_ms

DRAWS = st.floats(0, 1, exclude_max=True)
DELAYS = st.timedeltas(timedelta(0), timedelta(days=3))
LAST = 0.999_999_999
POLICY = RetryPolicy()


def seconds(wait: Wait | None) -> float:
    assert wait is not None
    return wait.duration.total_seconds()


@given(DELAYS, DRAWS)
def test_a_wait_never_ends_early(delay: timedelta, draw: float) -> None:
    assert place(delay, draw).duration >= delay


@given(DELAYS, DRAWS)
def test_a_wait_is_at_most_30_percent_longer_than_its_tier(delay: timedelta, draw: float) -> None:
    base = next((timedelta(seconds=tier) for tier in TIERS if delay <= timedelta(seconds=tier)), delay)
    assert place(delay, draw).duration <= base * 1.3 + timedelta(microseconds=1)


@pytest.mark.parametrize("tier", TIERS)
def test_the_buckets_of_a_tier_cover_0_to_30_percent(tier: int) -> None:
    draws = [0.0, 0.25, 0.5, 0.75]
    waits = [place(timedelta(seconds=tier), draw) for draw in draws]
    assert [wait.bucket for wait in waits if isinstance(wait, BrokerWait)] == [0, 1, 2, 3]
    assert [seconds(wait) / tier for wait in waits] == pytest.approx([1.0, 1.1, 1.2, 1.3])


@given(st.floats(0, 1, exclude_max=True))
def test_every_draw_finds_a_bucket(draw: float) -> None:
    wait = place(timedelta(seconds=2), draw)
    assert isinstance(wait, BrokerWait)
    assert 0 <= wait.bucket < len(JITTER_STEPS)


@pytest.mark.parametrize(("tier", "following"), [*itertools.pairwise(TIERS)])
def test_a_wait_just_above_a_tier_takes_the_next(tier: int, following: int) -> None:
    assert place(timedelta(seconds=tier), 0) == BrokerWait(tier, 0)
    assert place(timedelta(seconds=tier, microseconds=1), 0) == BrokerWait(following, 0)


def test_no_wait_takes_the_shortest_tier() -> None:
    assert place(timedelta(0), 0) == BrokerWait(TIERS[0], 0)


def test_a_wait_above_the_longest_tier_is_a_row() -> None:
    longest = timedelta(seconds=TIERS[-1])
    assert isinstance(place(longest, LAST), BrokerWait)
    assert place(longest + timedelta(microseconds=1), 0) == LedgerWait(longest + timedelta(microseconds=1))


def test_the_waits_of_the_broker_are_whole_milliseconds() -> None:
    assert [ttl_ms(2, bucket) for bucket in range(4)] == [2000, 2200, 2400, 2600]
    assert BrokerWait(32, 3).duration == timedelta(seconds=41.6)


def test_the_default_policy_is_one_attempt_and_five_retries_after_2_4_8_16_32_seconds() -> None:
    assert POLICY.max_attempts == 6
    assert [seconds(POLICY.after_failure(attempt, 0.0)) for attempt in range(1, 6)] == [2, 4, 8, 16, 32]


@given(st.integers(6, 1000), DRAWS)
def test_after_the_last_attempt_the_budget_is_spent(attempt: int, draw: float) -> None:
    assert POLICY.after_failure(attempt, draw) is None
    assert POLICY.after_failure(attempt, draw, timedelta(hours=1)) is None


def test_a_policy_without_delays_tries_once() -> None:
    assert RetryPolicy(delays=()).after_failure(1, 0.0) is None


@given(st.integers(1, 5), DRAWS, st.timedeltas(timedelta(0), timedelta(days=30)))
def test_retry_after_lengthens_a_wait_up_to_the_longest(attempt: int, draw: float, asked: timedelta) -> None:
    wait = POLICY.after_failure(attempt, draw, asked)
    assert wait is not None
    least = max(POLICY.delays[attempt - 1], min(asked, POLICY.longest))
    assert least <= wait.duration <= max(POLICY.longest * 1.3, least * 2)


def test_a_retry_after_of_a_year_is_cut_to_the_longest() -> None:
    assert POLICY.after_failure(1, 0.0, timedelta(days=365)) == LedgerWait(POLICY.longest)


def test_a_retry_after_below_the_backoff_changes_nothing() -> None:
    assert POLICY.after_failure(3, 0.0, timedelta(seconds=1)) == BrokerWait(8, 0)
