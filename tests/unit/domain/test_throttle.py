"""How much a destination bears is found out by asking: lowered when it complains, raised while it answers."""

from __future__ import annotations

from dataclasses import replace

from holdfast.domain.circuit import Reason, Report
from holdfast.domain.downstream_policy import DownstreamPolicy
from holdfast.domain.throttle import Throttle

NOW = 1_764_000_000_000
POLICY = DownstreamPolicy()
STRICT = replace(POLICY, strict=True, concurrency=2, rate=10)
REFUSED = Report(0, failures=1, refusals=1)
TIMED_OUT = Report(0, failures=1, timeouts=1)


def learnt(throttle: Throttle, *reports: Report, every_ms: int = 2_000, per_second: int = 80_000) -> Throttle:
    for number, report in enumerate(reports):
        throttle = throttle.learn(report, NOW + number * every_ms, per_second, POLICY)
    return throttle


def answers(times: int, latency_ms: int) -> list[Report]:
    return [Report(0, ok=1, latency_ms=latency_ms)] * times


def test_nothing_is_limited_until_it_complains() -> None:
    quiet = learnt(Throttle(), *answers(50, 40))
    assert quiet.free
    assert quiet.refusal(NOW) is None


def test_a_429_halves_both_limits_and_a_timeout_the_calls_at_once() -> None:
    refused, late = learnt(Throttle(), REFUSED), learnt(Throttle(), TIMED_OUT)
    assert (refused.limit, refused.rate) == (32_000, 40_000)
    assert (late.limit, late.rate) == (32_000, 0)


def test_other_failures_say_nothing_about_how_much_it_bears() -> None:
    assert learnt(Throttle(), Report(0, failures=1)).free


def test_a_burst_of_refusals_is_one_piece_of_news() -> None:
    assert learnt(Throttle(), *[REFUSED] * 5, every_ms=100).limit == 32_000
    assert learnt(Throttle(), *[REFUSED] * 5, every_ms=1_000).limit == 2_000


def test_limits_never_fall_below_the_least() -> None:
    lowest = learnt(Throttle(), *[REFUSED] * 30)
    assert (lowest.limit, lowest.rate) == (2_000, 1_000)


def test_answers_raise_the_limit_by_one_for_each_round_of_them() -> None:
    lowered = replace(Throttle(), limit=4_000)
    assert 4_900 < learnt(lowered, *answers(4, 40)).limit <= 5_000


def test_a_limit_that_passes_the_ceiling_is_dropped() -> None:
    assert learnt(replace(Throttle(), limit=63_990), *answers(1, 40)).limit == 0


def test_answers_that_take_much_longer_than_usual_lower_the_limit_by_a_quarter() -> None:
    usual = learnt(Throttle(), *answers(20, 200))
    assert learnt(usual, *answers(1, 700)).free
    assert learnt(usual, *answers(1, 900)).limit == 48_000


def test_a_destination_that_is_always_slow_is_not_limited_for_it() -> None:
    assert learnt(Throttle(), *answers(20, 3_000)).free


def test_as_many_leases_as_the_limit_and_no_more() -> None:
    throttle = replace(Throttle(), limit=2_900)
    for lease in ("one", "two"):
        assert throttle.refusal(NOW) is None
        throttle = throttle.grant(lease, NOW, POLICY)
    assert throttle.refusal(NOW) == (Reason.FULL, 100_000 // 2_900)
    assert throttle.over(["one"]).refusal(NOW) is None


def test_the_lease_of_a_worker_that_died_runs_out() -> None:
    full = replace(Throttle(), limit=1_000).grant("lost", NOW, POLICY)
    assert full.at(NOW + POLICY.lease_ms - 1, POLICY).refusal(NOW) is not None
    assert full.at(NOW + POLICY.lease_ms, POLICY).refusal(NOW) is None


def test_a_pace_lets_a_second_of_calls_be_saved_up() -> None:
    throttle, made, now = replace(Throttle(), rate=10_000), 0, NOW
    while throttle.refusal(now) is None:
        throttle, made = throttle.grant("", now, POLICY), made + 1
    assert made == 11
    assert throttle.refusal(now + 100) is None


def test_a_retry_after_stops_the_destination_and_the_longer_one_wins() -> None:
    paused = learnt(Throttle(), Report(0, failures=1, retry_after_ms=30_000), every_ms=0)
    both = paused.learn(Report(0, failures=1, retry_after_ms=5_000), NOW, 0, POLICY)
    assert both.paused_until == NOW + 30_000
    assert both.at(NOW + 30_000, POLICY).paused_until == 0


def test_a_retry_after_is_taken_at_its_word_for_an_hour_at_most() -> None:
    assert learnt(Throttle(), Report(0, failures=1, retry_after_ms=86_400_000)).paused_until == NOW + 3_600_000


def test_who_waits_comes_back_one_after_the_other() -> None:
    throttle, places = Throttle(), []
    for _ in range(3):
        throttle = throttle.queue(NOW, 200)
        places.append(throttle.line_at - NOW)
    assert places == [200, 400, 600]
    assert throttle.queue(NOW + 10_000, 200).line_at == NOW + 10_200, "those who came back are no longer in the line"


def test_strict_limits_are_there_from_the_first_call_and_stay() -> None:
    throttle = Throttle().at(NOW, STRICT)
    assert (throttle.limit, throttle.rate) == (2_000, 10_000)
    raised = throttle.learn(Report(0, ok=50, latency_ms=500), NOW, 0, STRICT)
    assert (raised.limit, raised.rate) == (2_000, 10_000)
