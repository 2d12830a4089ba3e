"""From an outcome to what the ledger writes: one pure decision.

Invariant: a settlement either ends the job or says exactly one way in which it goes on (an envelope for the
broker, or a due time for the steward); never both, never neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, assert_never
from uuid import UUID

from holdfast.domain.attempt import AttemptState, Bury, Claim, Outcome, Park, Retry, Succeeded
from holdfast.domain.backoff import BrokerWait, LedgerWait, RetryPolicy, Wait, place
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.domain.envelope import Envelope, envelope
from holdfast.domain.job import Job, JobState
from holdfast.domain.topology import to_wait


@dataclass(frozen=True, slots=True)
class Settlement:
    """What one transaction writes for a settled attempt, and the message that follows it."""

    job_state: JobState
    attempt_state: AttemptState
    next_attempt: int
    result: Mapping[str, Any] | None = None
    failure: Failure | None = None
    detail: Mapping[str, Any] | None = None
    envelope: Envelope | None = None
    due_in: timedelta | None = None
    follow_up: Job | None = None
    """A job to accept in the same transaction: the callback of one that has ended."""
    unspent: int = 0
    """Attempts to leave out of the budget: 1 for a parked one, which numbers a ticket but costs nothing."""
    parked_by: UUID | None = None
    """The endpoint that a parked job waits for."""

    @property
    def dead(self) -> bool:
        """Whether the message must now be dead-lettered."""
        return self.job_state is JobState.DEAD


def decide(claim: Claim, outcome: Outcome, policy: RetryPolicy, now: datetime, draw: float) -> Settlement:
    """Turn the outcome of a claimed attempt into a settlement; `draw` in [0, 1) is the jitter."""
    match outcome:
        case Succeeded(result, detail):
            return Settlement(JobState.SUCCEEDED, AttemptState.SUCCEEDED, claim.attempt, result=result, detail=detail)
        case Retry(failure, _, detail) if failure.error in policy.fatal:
            return _bury(claim, replace(failure, reason=DeadReason.REJECTED), detail)
        case Retry(failure, after, detail):
            wait = policy.after_failure(claim.attempt - claim.job.spent_before, draw, after)
            if wait is None:
                return _bury(claim, replace(failure, reason=failure.reason or DeadReason.EXHAUSTED), detail)
            failure = replace(failure, reason=None)
            return _wait(claim, wait, AttemptState.FAILED, now, failure, detail)
        case Park():
            return _park(claim, outcome, policy, now, draw)
        case Bury(failure, detail):
            return _bury(claim, replace(failure, reason=failure.reason or DeadReason.REJECTED), detail)
        case _:
            assert_never(outcome)


def _bury(claim: Claim, failure: Failure, detail: Mapping[str, Any] | None) -> Settlement:
    return Settlement(JobState.DEAD, AttemptState.FAILED, claim.attempt, failure=failure, detail=detail)


def _park(claim: Claim, park: Park, policy: RetryPolicy, now: datetime, draw: float) -> Settlement:
    """Wait without spending an attempt; but not past the deadline, and not for ever.

    A job that an endpoint keeps waiting waits in the ledger, where it is found when the endpoint is enabled: that is
    somebody's decision, of which a job does not lose patience.
    """
    detail = {"parked": park.why, **(park.detail or {})}
    deadline, since = claim.job.deadline, claim.parked_since or now
    if deadline is not None and deadline <= now:
        late = f"the job was parked at its deadline, {deadline.isoformat()}: {park.why}"
        return _bury(claim, Failure(DeadReason.EXPIRED, "Expired", late), detail)
    if park.parked_by is None and now - since >= policy.patience:
        late = f"the job has been parked since {since.isoformat()}: {park.why}; replay it when that is mended"
        return _bury(claim, Failure(DeadReason.EXPIRED, "ParkedTooLong", late), detail)
    wait = park.wait if deadline is None else min(park.wait, deadline - now)
    place_of = LedgerWait(wait) if park.parked_by else place(wait, draw)
    settlement = _wait(claim, place_of, AttemptState.PARKED, now, None, detail)
    return replace(settlement, unspent=1, parked_by=park.parked_by)


def _wait(
    claim: Claim,
    wait: Wait,
    state: AttemptState,
    now: datetime,
    failure: Failure | None,
    detail: Mapping[str, Any] | None,
) -> Settlement:
    """The next attempt has a number of its own, so that no older ticket can begin it before its time."""
    next_attempt = claim.attempt + 1
    settlement = Settlement(JobState.WAITING, state, next_attempt, failure=failure, detail=detail)
    match wait:
        case BrokerWait():
            ticket = envelope(claim.job, next_attempt, claim.token, to_wait(claim.job.queue, wait), now)
            return replace(settlement, envelope=ticket)
        case LedgerWait(duration):
            return replace(settlement, due_in=duration)
