"""What the end of an isolated call means for its job."""

from __future__ import annotations

from datetime import timedelta

import pytest

from holdfast.domain.attempt import Bury, Retry
from holdfast.domain.dead_letter import DeadReason
from holdfast.handlers.isolated import outcome_of
from holdfast.ports.isolation import CrashCause, IsolatedCrash, IsolatedTimeout

LIMIT = timedelta(seconds=60)


@pytest.mark.parametrize(
    ("computed", "outcome"),
    [(60, Bury), (120, Bury), (48, Bury), (47, Retry), (10, Retry), (0, Retry)],
)
def test_a_call_that_computed_is_buried_and_one_that_was_starved_comes_again(computed: int, outcome: type) -> None:
    ended = outcome_of(IsolatedTimeout("it was killed", limit=LIMIT, computed=timedelta(seconds=computed)))
    assert type(ended) is outcome
    assert (ended.failure.reason, ended.failure.error) == (DeadReason.TIMED_OUT, "IsolatedTimeout")


@pytest.mark.parametrize(
    ("cause", "outcome", "reason"),
    [
        (CrashCause.MEMORY, Bury, DeadReason.REJECTED),
        (CrashCause.SIGNAL, Bury, DeadReason.POISONED),
        (CrashCause.KILLED, Retry, DeadReason.POISONED),
        (CrashCause.SURPRISE, Retry, DeadReason.EXHAUSTED),
    ],
)
def test_a_crash_is_buried_when_a_repeat_would_crash_again(
    cause: CrashCause, outcome: type, reason: DeadReason
) -> None:
    ended = outcome_of(IsolatedCrash("it fell over", cause=cause, evidence="its last words"))
    assert type(ended) is outcome
    assert (ended.failure.reason, ended.failure.traceback) == (reason, "its last words")
