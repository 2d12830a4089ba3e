"""What the death of an isolated call means for its job: one policy for every handler that calls out of process.

    computed past its time limit  bury    timed_out    the same input needs the same time again
    waited past its time limit    retry   timed_out    the machine was busy with something else
    ran out of its memory limit   bury    rejected     the same input needs the same memory again
    crashed (SIGSEGV, abort, …)   bury    poisoned     the same input would crash it again
    killed from outside           retry   poisoned     the machine ran out of memory; only a repeat shows whose fault
    unexpected exception          retry   exhausted    as any surprise in a handler

Only the last two speak against the engine itself, and can open its circuit breaker: the others are the input's doing.

The reason is the one that the job dies of, at once or when its retries are spent.

A call computed if it had a processor for `COMPUTED` of its limit. Measured on an endless layout with a limit of 2 s:
with a processor of its own it has 0.97 to 1.00 of it, on two processors that eleven processes want 0.24 to 0.72; a
call that waits has 0.00. So a hostile document dies of its first attempt, and what was merely starved comes again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import assert_never

from holdfast.domain.attempt import Bury, Retry
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.ports.downstreams import Call
from holdfast.ports.isolation import CrashCause, IsolatedCrash, IsolatedTimeout

COMPUTED = 0.8
"""The part of its time limit for which a call must have had a processor, to be told from one that was starved."""
ENGINES_FAULT = frozenset({CrashCause.KILLED, CrashCause.SURPRISE})


@contextmanager
def blaming(call: Call) -> Iterator[None]:
    """Tell the engine's breaker of a death inside that is the engine's own fault."""
    try:
        yield
    except IsolatedCrash as death:
        if death.cause in ENGINES_FAULT:
            call.failed()
        raise


def outcome_of(death: IsolatedTimeout | IsolatedCrash) -> Retry | Bury:
    """The outcome of an attempt whose isolated call did not answer."""
    if isinstance(death, IsolatedTimeout):
        failure = Failure(DeadReason.TIMED_OUT, death.error, str(death))
        return Bury(failure) if death.computed >= COMPUTED * death.limit else Retry(failure)
    match death.cause:
        case CrashCause.MEMORY:
            return Bury(_failure(death, DeadReason.REJECTED))
        case CrashCause.SIGNAL:
            return Bury(_failure(death, DeadReason.POISONED))
        case CrashCause.KILLED:
            return Retry(_failure(death, DeadReason.POISONED))
        case CrashCause.SURPRISE:
            return Retry(_failure(death, DeadReason.EXHAUSTED))
        case _:
            assert_never(death.cause)


def _failure(death: IsolatedCrash, reason: DeadReason) -> Failure:
    return Failure(reason, death.error, str(death), traceback=death.evidence or None)
