"""The breaker as a value: what opens it, what closes it, and what does not count."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.domain.circuit import ANY_EPOCH, Circuit, CircuitState, Reason, Report, spread
from holdfast.domain.downstream_policy import DownstreamPolicy

NOW = 1_764_000_000_000
POLICY = DownstreamPolicy()
WORKERS = ("a:1", "b:1")


def tell(circuit: Circuit, report: Report, worker: str = "a:1", *, alive: int = 2, at: int = NOW) -> Circuit:
    of = replace(report, epoch=circuit.epoch)
    return circuit.at(at, POLICY).learn(of, at, 0, worker, alive, POLICY)


def failing(times: int, *workers: str, alive: int = 2, circuit: Circuit | None = None) -> Circuit:
    found = circuit or Circuit()
    for number in range(times):
        found = tell(found, Report(0, failures=1), workers[number % len(workers)], alive=alive)
    return found


def opened(draw: int = 0, trips: int = 0) -> Circuit:
    almost = replace(failing(9, *WORKERS), trips=trips, since=NOW - 1)
    return almost.learn(Report(almost.epoch, failures=1), NOW, draw, "b:1", 2, POLICY)


def half_open() -> Circuit:
    circuit = opened()
    return circuit.at(circuit.open_until, POLICY)


def ramping() -> Circuit:
    circuit = half_open()
    return circuit.learn(Report(circuit.epoch, ok=3), circuit.since, 0, "a:1", 2, POLICY)


def test_it_opens_at_the_tenth_call_when_half_of_them_failed() -> None:
    five = failing(5, *WORKERS)
    assert tell(five, Report(0, ok=4)).state is CircuitState.CLOSED
    assert tell(five, Report(0, ok=5)).state is CircuitState.OPEN


def test_fewer_failures_than_the_share_leave_it_closed() -> None:
    assert tell(failing(5, *WORKERS), Report(0, ok=6)).state is CircuitState.CLOSED


def test_slow_calls_open_it_too() -> None:
    seven = tell(tell(Circuit(), Report(0, slow=4), "a:1"), Report(0, slow=3), "b:1")
    assert tell(seven, Report(0, ok=2)).state is CircuitState.CLOSED
    assert tell(tell(seven, Report(0, ok=2)), Report(0, slow=1)).state is CircuitState.OPEN


def test_what_is_older_than_the_window_does_not_count() -> None:
    later = NOW + POLICY.window_ms
    assert tell(failing(9, *WORKERS), Report(0, failures=1), at=later).state is CircuitState.CLOSED


def test_one_worker_among_several_is_flagged_and_opens_nothing() -> None:
    circuit = failing(30, "a:1")
    assert (circuit.state, circuit.flagged) == (CircuitState.CLOSED, "a:1")
    assert circuit.refusal(NOW, 0, "a:1", POLICY) == (Reason.FLAGGED, NOW)
    assert circuit.refusal(NOW, 0, "b:1", POLICY) is None


def test_the_flag_ends_after_an_open_period() -> None:
    circuit = failing(10, "a:1").at(NOW + POLICY.open_ms, POLICY)
    assert circuit.flagged == ""
    assert circuit.refusal(NOW + POLICY.open_ms, 0, "a:1", POLICY) is None


def test_a_second_witness_opens_what_one_worker_was_flagged_for() -> None:
    assert failing(1, "b:1", circuit=failing(10, "a:1")).state is CircuitState.OPEN


def test_a_worker_that_is_alone_needs_no_second_witness() -> None:
    assert failing(10, "a:1", alive=1).state is CircuitState.OPEN


def test_an_open_period_doubles_with_every_trip_up_to_the_longest() -> None:
    periods = [opened(trips=trips).open_until - NOW for trips in range(8)]
    assert periods == [5_000, 10_000, 20_000, 40_000, 80_000, 120_000, 120_000, 120_000]


def test_up_to_a_third_of_the_open_period_is_jitter() -> None:
    assert opened(draw=999_999).open_until - NOW == 5_000 + 1_499
    assert opened(draw=500_000).open_until - NOW == 5_000 + 750


def test_a_calm_time_has_earlier_trips_forgotten() -> None:
    tripped = replace(Circuit(), since=NOW - POLICY.calm_ms, trips=4)
    restless = replace(tripped, since=NOW - POLICY.calm_ms + 1)
    assert failing(10, *WORKERS, circuit=tripped).trips == 1
    assert failing(10, *WORKERS, circuit=restless).trips == 5


def test_nobody_calls_while_it_is_open() -> None:
    circuit = opened()
    for draw in (0, 999_999):
        found = circuit.refusal(NOW, draw, "c:1", POLICY)
        assert found is not None
        assert found[0] is Reason.OPEN
        assert found[1] >= circuit.open_until


def test_it_lets_three_probes_through_and_no_more() -> None:
    circuit = half_open()
    for number in range(POLICY.probes):
        assert circuit.refusal(circuit.since, 0, "a:1", POLICY) is None
        circuit = circuit.grant(f"probe-{number}", circuit.since, POLICY)
    found = circuit.refusal(circuit.since, 0, "b:1", POLICY)
    assert found is not None
    assert found[0] is Reason.PROBING


def test_who_is_refused_while_it_is_probed_comes_back_when_the_next_probes_are_due() -> None:
    circuit = half_open()
    for number in range(POLICY.probes):
        circuit = circuit.grant(f"probe-{number}", circuit.since, POLICY)
    found = circuit.refusal(circuit.since, 0, "b:1", POLICY)
    failed = circuit.learn(Report(circuit.epoch, failures=1), circuit.since, 0, "a:1", 2, POLICY)
    assert found == (Reason.PROBING, failed.open_until)


def test_a_probe_that_succeeded_is_not_replaced_by_another() -> None:
    circuit = half_open().grant("one", NOW, POLICY)
    circuit = circuit.over(["one"]).learn(Report(circuit.epoch, ok=1), NOW, 0, "a:1", 2, POLICY)
    assert (circuit.passed, len(circuit.probes)) == (1, 0)
    for number in range(2):
        assert circuit.refusal(NOW, 0, "a:1", POLICY) is None
        circuit = circuit.grant(f"more-{number}", NOW, POLICY)
    assert circuit.refusal(NOW, 0, "a:1", POLICY) is not None


def test_a_probe_whose_worker_died_is_given_to_somebody_else() -> None:
    circuit = half_open()
    for number in range(POLICY.probes):
        circuit = circuit.grant(f"probe-{number}", circuit.since, POLICY)
    later = circuit.since + POLICY.lease_ms
    assert circuit.at(later - 1, POLICY).refusal(later - 1, 0, "b:1", POLICY) is not None
    assert circuit.at(later, POLICY).refusal(later, 0, "b:1", POLICY) is None


def test_one_bad_probe_opens_it_for_longer() -> None:
    circuit = half_open()
    again = circuit.learn(Report(circuit.epoch, failures=1), circuit.since, 0, "a:1", 5, POLICY)
    assert (again.state, again.trips, again.open_until - circuit.since) == (CircuitState.OPEN, 2, 10_000)


@pytest.mark.parametrize(
    ("after_ms", "admitted"), [(0, 100_000), (4_999, 100_000), (5_000, 300_000), (10_000, 600_000)]
)
def test_the_share_that_is_let_through_grows_step_by_step(after_ms: int, admitted: int) -> None:
    circuit = ramping()
    now = circuit.since + after_ms
    assert circuit.refusal(now, admitted - 1, "a:1", POLICY) is None
    assert circuit.refusal(now, admitted, "a:1", POLICY) == (Reason.RAMPING, spread(now, now + 5_000, 2_500, admitted))


def test_it_closes_when_the_last_step_has_passed() -> None:
    circuit = ramping()
    assert circuit.at(circuit.since + 14_999, POLICY).state is CircuitState.RAMP
    closed = circuit.at(circuit.since + 15_000, POLICY)
    assert (closed.state, closed.trips, closed.tally().calls) == (CircuitState.CLOSED, 1, 0)


@pytest.mark.parametrize("bad", [Report(0, failures=1), Report(0, slow=1)])
def test_a_bad_call_in_the_ramp_opens_it_again(bad: Report) -> None:
    assert tell(ramping(), bad).state is CircuitState.OPEN


def test_calls_that_were_on_their_way_when_it_moved_are_no_evidence() -> None:
    circuit = half_open()
    late = Report(circuit.epoch - 1, failures=5)
    assert circuit.learn(late, NOW, 0, "a:1", 2, POLICY) == circuit


def test_evidence_that_was_gathered_while_redis_was_away_counts_all_the_same() -> None:
    circuit = failing(9, *WORKERS)
    assert circuit.learn(Report(ANY_EPOCH, failures=1), NOW, 0, "b:1", 2, POLICY).state is CircuitState.OPEN


def test_callers_come_back_at_different_times_and_within_half_a_minute() -> None:
    assert {spread(NOW, NOW + 4_000, 2_000, draw) - NOW for draw in (0, 500_000, 999_999)} == {4_000, 5_000, 5_999}
    assert spread(NOW, NOW + 3_600_000, 5_000, 0) == NOW + 32_000


def test_who_meets_an_open_breaker_comes_back_during_the_period_that_would_follow_this_one() -> None:
    circuit = failing(10, *WORKERS)
    again = [circuit.refusal(NOW, draw, "a:1", POLICY) for draw in (0, 500_000, 999_999)]
    assert [found and found[1] - circuit.open_until for found in again] == [0, 5_000, 9_999]
