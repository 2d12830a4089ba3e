"""What the death of an isolated call means for its job: one policy for every handler that calls out of process.

    ran past its time limit       retry   timed_out    the machine may have been busy
    ran out of its memory limit   bury    rejected     the same input needs the same memory again
    crashed (SIGSEGV, abort, …)   bury    poisoned     the same input would crash it again
    killed from outside           retry   poisoned     the machine ran out of memory; only a repeat shows whose fault
    unexpected exception          retry   exhausted    as any surprise in a handler

The reason is the one that the job dies of, at once or when its retries are spent.
"""

from __future__ import annotations

from typing import assert_never

from holdfast.domain.attempt import Bury, Retry
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.ports.isolation import CrashCause, IsolatedCrash, IsolatedTimeout


def outcome_of(death: IsolatedTimeout | IsolatedCrash) -> Retry | Bury:
    """The outcome of an attempt whose isolated call did not answer."""
    if isinstance(death, IsolatedTimeout):
        return Retry(Failure(DeadReason.TIMED_OUT, death.error, str(death)))
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
