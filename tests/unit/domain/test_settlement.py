"""From outcome to settlement: it ends the job, or goes on in exactly one way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.attempt import AttemptState, Bury, Claim, Outcome, Park, Retry, Succeeded
from holdfast.domain.backoff import RetryPolicy
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.domain.job import ENDED, JobState
from holdfast.domain.settlement import Settlement, decide
from holdfast.domain.topology import RETRY
from ledger_world import BROKEN, FATAL, NOW, make_job

POLICY = RetryPolicy()
TIMED_OUT = Failure(DeadReason.TIMED_OUT, "TimedOut", "the attempt ran past its limit")


def claim(attempt: int = 1, *, spent_before: int = 0, token: int = 7) -> Claim:
    job = replace(make_job(key="k"), state=JobState.RUNNING, attempt=attempt, spent_before=spent_before)
    return Claim(job, attempt, token, NOW)


def settle(outcome: Outcome, at: Claim | None = None, draw: float = 0.0) -> Settlement:
    return decide(at or claim(), outcome, POLICY, NOW, draw)


def test_a_success_ends_the_job_with_its_result() -> None:
    made = settle(Succeeded({"pages": 3}, {"ms": 5}))
    assert (made.job_state, made.attempt_state) == (JobState.SUCCEEDED, AttemptState.SUCCEEDED)
    assert (made.result, made.detail, made.failure) == ({"pages": 3}, {"ms": 5}, None)


def test_a_failure_waits_in_the_broker_for_the_next_attempt() -> None:
    at = claim(2)
    made = settle(Retry(BROKEN), at, draw=0.3)
    assert (made.job_state, made.attempt_state, made.next_attempt) == (JobState.WAITING, AttemptState.FAILED, 3)
    assert made.envelope is not None
    assert (made.envelope.attempt, made.envelope.token, made.envelope.enqueued_at) == (3, 7, NOW)
    assert (made.envelope.route.exchange, made.envelope.route.routing_key) == (RETRY, "4s.1.image")


def test_a_long_retry_after_waits_as_a_row() -> None:
    made = settle(Retry(BROKEN, after=timedelta(minutes=10)))
    assert (made.envelope, made.due_in, made.next_attempt) == (None, timedelta(minutes=10), 2)


def test_the_sixth_failure_buries_the_job_as_exhausted() -> None:
    made = settle(Retry(BROKEN), claim(6))
    assert made.dead
    assert made.failure == replace(BROKEN, reason=DeadReason.EXHAUSTED)
    assert made.next_attempt == 6


def test_an_error_that_the_policy_calls_fatal_is_not_retried() -> None:
    policy = RetryPolicy(fatal=frozenset({BROKEN.error}))
    made = decide(claim(1), Retry(BROKEN), policy, NOW, 0.0)
    assert (made.dead, made.failure) == (True, replace(BROKEN, reason=DeadReason.REJECTED))


def test_the_last_time_out_buries_the_job_as_timed_out() -> None:
    made = settle(Retry(TIMED_OUT), claim(6))
    assert made.failure == TIMED_OUT


def test_a_failure_that_will_be_retried_has_no_reason_to_be_dead() -> None:
    made = settle(Retry(TIMED_OUT), claim(1))
    assert made.failure == replace(TIMED_OUT, reason=None)


def test_a_replayed_job_has_its_whole_budget_again() -> None:
    assert settle(Retry(BROKEN), claim(7, spent_before=6)).job_state is JobState.WAITING
    assert settle(Retry(BROKEN), claim(11, spent_before=6)).job_state is JobState.WAITING
    assert settle(Retry(BROKEN), claim(12, spent_before=6)).dead


def test_a_replayed_job_backs_off_from_the_first_tier_again() -> None:
    made = settle(Retry(BROKEN), claim(7, spent_before=6))
    assert made.envelope is not None
    assert (made.envelope.route.routing_key, made.envelope.attempt) == ("2s.0.image", 8)


@pytest.mark.parametrize("wait", [timedelta(seconds=3), timedelta(hours=2)])
def test_parking_spends_no_attempt(wait: timedelta) -> None:
    made = settle(Park(wait, "the breaker is open"), claim(6))
    assert (made.job_state, made.attempt_state, made.failure) == (JobState.WAITING, AttemptState.PARKED, None)
    assert (made.next_attempt, made.unspent) == (7, 1), "a number of its own, which costs nothing"
    assert made.detail == {"parked": "the breaker is open"}


def test_a_job_is_parked_until_its_deadline_at_most() -> None:
    at = claim()
    job = replace(at.job, deadline=NOW + timedelta(seconds=7))
    made = settle(Park(timedelta(seconds=30), "the breaker is open"), replace(at, job=job))
    assert made.envelope is not None
    assert made.envelope.route.routing_key == "8s.0.image"


def test_a_job_that_is_parked_at_its_deadline_has_expired() -> None:
    at = claim(3)
    made = settle(Park(timedelta(seconds=3), "the breaker is open"), replace(at, job=replace(at.job, deadline=NOW)))
    assert made.dead
    assert made.failure is not None
    assert (made.failure.reason, made.failure.error) == (DeadReason.EXPIRED, "Expired")
    assert "the breaker is open" in made.failure.message


def test_a_job_is_not_parked_for_ever() -> None:
    at = replace(claim(3), parked_since=NOW - POLICY.patience)
    almost = replace(at, parked_since=NOW - POLICY.patience + timedelta(seconds=1))
    made = settle(Park(timedelta(seconds=3), "the breaker is open"), at)
    assert made.failure is not None
    assert (made.failure.reason, made.failure.error) == (DeadReason.EXPIRED, "ParkedTooLong")
    assert not settle(Park(timedelta(seconds=3), "the breaker is open"), almost).dead


def test_a_parked_job_keeps_its_priority_and_trace() -> None:
    at = claim()
    job = replace(at.job, priority=24, traceparent="00-abc-def-01")
    made = settle(Park(timedelta(seconds=3), "busy"), replace(at, job=job))
    assert made.envelope is not None
    assert (made.envelope.priority, made.envelope.traceparent) == (24, "00-abc-def-01")


def test_burying_ends_the_job_with_its_failure() -> None:
    made = settle(Bury(FATAL))
    assert made.dead
    assert (made.attempt_state, made.failure, made.next_attempt) == (AttemptState.FAILED, FATAL, 1)


def test_a_burial_without_a_reason_is_a_rejection() -> None:
    assert settle(Bury(BROKEN)).failure == replace(BROKEN, reason=DeadReason.REJECTED)


WAITS = st.timedeltas(timedelta(0), timedelta(days=2))
OUTCOMES = st.one_of(
    st.just(Succeeded({})),
    st.builds(Retry, st.sampled_from([BROKEN, TIMED_OUT]), st.none() | WAITS),
    st.builds(Park, WAITS, st.just("busy")),
    st.builds(Bury, st.sampled_from([BROKEN, FATAL])),
)


@given(OUTCOMES, st.integers(1, 20), st.integers(0, 19), st.floats(0, 1, exclude_max=True))
def test_a_settlement_ends_the_job_or_goes_on_in_exactly_one_way(
    outcome: Outcome, attempt: int, spent: int, draw: float
) -> None:
    made = settle(outcome, claim(attempt, spent_before=min(spent, attempt - 1)), draw)
    ways = [made.job_state in ENDED, made.envelope is not None, made.due_in is not None]
    assert sum(ways) == 1, ways
    assert made.dead == (made.failure is not None and made.failure.reason is not None)
    if made.envelope is not None:
        assert made.envelope.attempt == made.next_attempt
