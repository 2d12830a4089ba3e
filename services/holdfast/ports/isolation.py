"""Running code that may hang, crash or eat all memory, without taking the worker along.

Promise: a call ends, at the latest shortly after `timeout`, with a value or one of the errors below, and
nothing of it is left running.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol

from holdfast.domain.errors import HandlerError


class IsolatedTimeout(HandlerError):
    """The call ran past its time limit and its process group was killed."""


class IsolatedCrash(HandlerError):
    """The process died (a signal, the memory limit) before it answered."""


class Isolation(Protocol):
    """Calls a module-level function in a child process."""

    async def call(self, target: str, request: Mapping[str, Any], *, timeout: timedelta, memory: int) -> Any:
        """Call `module:function` with `request` (picklable) within `timeout` and `memory` bytes of address space.

        HandlerErrors of the function come through as they are; any other exception as IsolatedCrash with its text.
        """
        ...
