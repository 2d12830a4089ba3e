"""Kinds that misbehave on demand. The harness puts this folder on PYTHONPATH, so they arrive as a plug-in does."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.domain.backoff import RetryPolicy
from holdfast.domain.errors import Rejected, TryLater
from holdfast.ports.handler import Context


class Anything(BaseModel):
    """A payload for all of them."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = 0.0
    fail_until: int = 0
    reject: bool = False
    surprise: bool = False
    say: str = ""
    """What the error says."""
    after: float | None = None


class Noop:
    """Succeed at once, or after a while."""

    kind: ClassVar[str] = "test.noop"
    queue: ClassVar[str] = "custom"
    Payload: ClassVar[type[BaseModel]] = Anything
    policy: ClassVar[RetryPolicy] = RetryPolicy()
    time_limit: ClassVar[timedelta] = timedelta(seconds=60)

    async def run(self, context: Context, payload: Any) -> Outcome:
        await asyncio.sleep(payload.seconds)
        return Succeeded({"attempt": context.attempt, "pid": os.getpid()})


class Keep(Noop):
    """Save an artifact that says which process made it, then go on for a while."""

    kind: ClassVar[str] = "test.keep"

    async def run(self, context: Context, payload: Any) -> Outcome:
        await context.save("who.txt", str(os.getpid()).encode(), "text/plain")
        await asyncio.sleep(payload.seconds)
        return Succeeded({"pid": os.getpid()})


class Crash(Noop):
    """Kill the worker's own process, as a segmentation fault would."""

    kind: ClassVar[str] = "test.crash"
    queue: ClassVar[str] = "image"

    async def run(self, context: Context, payload: Any) -> Outcome:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")


class Stick(Noop):
    """Block the event loop, as a careless handler does that computes or sleeps without awaiting."""

    kind: ClassVar[str] = "test.stick"
    queue: ClassVar[str] = "image"

    async def run(self, context: Context, payload: Any) -> Outcome:
        threading.Event().wait(payload.seconds)
        return Succeeded({})


class Block(Noop):
    """Run past the time limit."""

    kind: ClassVar[str] = "test.block"
    policy: ClassVar[RetryPolicy] = RetryPolicy(delays=())
    time_limit: ClassVar[timedelta] = timedelta(seconds=0.5)


class Linger(Noop):
    """Run for a while, with a lease that soon runs out."""

    kind: ClassVar[str] = "test.linger"
    time_limit: ClassVar[timedelta] = timedelta(seconds=5)


class Flaky(Noop):
    """Fail the first attempts, or for good."""

    kind: ClassVar[str] = "test.flaky"
    policy: ClassVar[RetryPolicy] = RetryPolicy(delays=(timedelta(seconds=2), timedelta(seconds=2)))

    async def run(self, context: Context, payload: Any) -> Outcome:
        if payload.surprise:
            raise ZeroDivisionError(f"as the test asked{payload.say}")
        if payload.reject:
            raise Rejected(f"the input is wrong, as the test asked{payload.say}", error="WrongInput")
        if context.attempt <= payload.fail_until:
            after = timedelta(seconds=payload.after) if payload.after else None
            raise TryLater("not yet, as the test asked", error="NotYet", after=after)
        return Succeeded({"attempt": context.attempt})
