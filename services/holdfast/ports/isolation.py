"""Running code that may hang, crash or eat all memory, without taking the worker along.

Promise: a call ends, at the latest shortly after `timeout`, with a value or one of the errors below, and
nothing of it is left running.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

from holdfast.domain.errors import HandlerError


class CrashCause(StrEnum):
    """Why an isolated call ended without an answer: a closed set, because the handlers' policy depends on it."""

    MEMORY = "memory"
    """It met its memory limit."""
    SIGNAL = "signal"
    """It fell over by itself (a segmentation fault, an abort) or quit without an answer."""
    KILLED = "killed"
    """Somebody else killed it, most likely the kernel for want of memory on the machine: not the input's fault."""
    SURPRISE = "surprise"
    """An exception that it does not raise on purpose."""


class IsolatedTimeout(HandlerError):
    """The call ran past its time limit and its process group was killed. `computed` is the processor time it took."""

    def __init__(self, message: str, *, limit: timedelta, computed: timedelta) -> None:
        super().__init__(message)
        self.limit, self.computed = limit, computed


class IsolatedCrash(HandlerError):
    """The process died before it answered. `evidence` (a traceback, its last words) is for operators only."""

    def __init__(self, message: str, *, cause: CrashCause, error: str | None = None, evidence: str = "") -> None:
        super().__init__(message, error=error)
        self.cause, self.evidence = cause, evidence


class Isolation(Protocol):
    """Calls a module-level function in a child process."""

    async def call(self, target: str, request: Mapping[str, Any], *, timeout: timedelta, memory: int) -> Any:
        """Call `module:function` with `request` (picklable) within `timeout` and `memory` bytes of address space.

        The function has no network, and may not leave its process group. It returns plain data (None, bool, int,
        float, str, bytes, and lists, tuples, sets and dicts of them). Rejected and TryLater come through with their
        message and names; any other exception as IsolatedCrash.
        """
        ...
