"""A bucket never gives out more than it held and gained, and says truly how long to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain import bucket as module
from holdfast.domain.bucket import Bucket, Buckets, Rate

RATE = Rate(10.0, 5)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("100/s", Rate(100, 100)),
        ("600/m", Rate(10, 10)),
        ("10/h", Rate(10 / 3600, 1)),
        ("0.5/s burst 3", Rate(0.5, 3)),
        (" 1000 / s  burst 5000 ", Rate(1000, 5000)),
    ],
)
def test_a_rate_is_read_as_people_write_it_and_told_as_it_is_read(text: str, rate: Rate) -> None:
    assert Rate.parse(text) == rate
    assert Rate.parse(str(rate)) == rate


@pytest.mark.parametrize("text", ["", "100", "100/d", "-1/s", "0/s", "1/s burst 0", "1e3/s", "1/s burst"])
def test_what_is_no_rate_is_refused_with_an_example_or_the_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a rate such as|needs a rate above zero and a burst of at least 1"):
        Rate.parse(text)


def test_a_full_bucket_gives_its_burst_and_then_what_it_gains() -> None:
    buckets = Buckets()
    assert [buckets.take("s", RATE, 1, 0.0).granted for _ in range(7)] == [1, 1, 1, 1, 1, 0, 0]
    assert buckets.take("s", RATE, 3, 0.2).granted == 2
    assert buckets.take("other", RATE, 5, 0.2).granted == 5


def test_the_wait_is_the_time_after_which_the_rest_is_there_and_not_sooner() -> None:
    bucket, grant = Bucket(2.0, 0.0).take(RATE, 4, 0.0)
    assert (grant.granted, grant.remaining) == (2, 0)
    assert grant.wait == pytest.approx(0.2)
    assert bucket.take(RATE, 2, grant.wait * 0.99)[1].granted == 1
    assert bucket.take(RATE, 2, grant.wait * 1.01)[1].granted == 2


def test_nobody_waits_for_more_than_a_bucket_holds() -> None:
    assert Buckets().take("s", RATE, 1000, 0.0).wait == pytest.approx(RATE.seconds_for(RATE.burst))


def test_a_clock_that_steps_back_adds_nothing() -> None:
    bucket, _ = Bucket(5.0, 10.0).take(RATE, 5, 10.0)
    bucket, grant = bucket.take(RATE, 1, 3.0)
    assert grant.granted == 0
    assert bucket.take(RATE, 5, 10.15)[1].granted == 1


def test_a_share_of_a_rate_is_a_part_for_each_process_and_never_nothing() -> None:
    assert RATE.shared_by(2) == Rate(5.0, 2)
    assert RATE.shared_by(100) == Rate(0.1, 1)


def test_the_subjects_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SUBJECTS", 2)
    buckets = Buckets()
    for subject in ("a", "b", "c"):
        buckets.take(subject, RATE, 5, 0.0)
    assert buckets.take("c", RATE, 5, 0.0).granted == 0
    assert buckets.take("a", RATE, 5, 0.0).granted == 5


@given(
    rate=st.builds(Rate, st.floats(0.01, 1000), st.integers(1, 1000)),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 50)), min_size=1, max_size=60),
)
def test_between_any_two_moments_no_more_is_given_than_was_held_and_gained(
    rate: Rate, steps: list[tuple[float, int]]
) -> None:
    buckets, now, given_out = Buckets(), 0.0, list[tuple[float, int]]()
    for pause, cost in steps:
        now += pause
        grant = buckets.take("s", rate, cost, now)
        assert 0 <= grant.granted <= cost
        given_out.append((now, grant.granted))
    for index, (begin, _) in enumerate(given_out):
        total = 0
        for moment, granted in given_out[index:]:
            total += granted
            assert total <= rate.burst + (moment - begin) * rate.per_second + 1e-6
