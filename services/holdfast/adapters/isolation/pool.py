"""Isolation by a few warm child processes, each with one call at a time.

Invariant: a child goes back among the idle ones only after a clean answer. A timeout, a crash, a cancellation
or a surprise ends it, and the next call starts a new one, so no call inherits the ruins of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import structlog

from holdfast.adapters.isolation import frames
from holdfast.adapters.isolation.folders import sweep
from holdfast.adapters.isolation.process import Child, out_of_memory, until
from holdfast.domain.errors import HandlerError, Rejected, TryLater
from holdfast.ports.isolation import CrashCause, IsolatedCrash, IsolatedTimeout
from holdfast.ports.limits import Limits

log = structlog.get_logger(__name__)

_DEFAULTS = Limits()
_EVIDENCE = 8 * 1024
"""Characters of a traceback that are kept, whatever a child sends."""


class SubprocessIsolation:
    """Keeps the promise of `ports.isolation.Isolation` on Linux.

    A call that finds all children busy waits for one; its time limit starts when it has one (and covers the start
    of a new child and the first import of the target's module). Belongs to the event loop that first uses it.
    """

    def __init__(
        self,
        max_children: int = 2,
        recycle_after: int = 200,
        recycle_resident: int = 768 * 1024 * 1024,
        limits: Limits = _DEFAULTS,
    ) -> None:
        """End a child after `recycle_after` calls, or after one that left it with `recycle_resident` bytes of RSS.

        Of the limits, those hold that are the same for every call: `answer_bytes` and `child_…`.
        """
        self._caps = frames.Caps(limits.answer_bytes, limits.child_file_bytes, limits.child_open_files)
        self._max_children = max_children
        self._recycle_after = recycle_after
        self._recycle_resident = recycle_resident
        self._slots = asyncio.Semaphore(max_children)
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._swept = self._warned = False

    async def call(self, target: str, request: Mapping[str, Any], *, timeout: timedelta, memory: int) -> Any:
        """Call `module:function` in a child; see the port."""
        async with self._slots:
            child = await self._take(target.partition(":")[0])
            try:
                answer = await self._ask(child, target, request, timeout, memory)
            except BaseException:
                await self._drop(child)
                raise
            await self._put_back(child, answer)
        return _value(answer, target, memory)

    async def close(self) -> None:
        """End all children; calls under way end with IsolatedCrash."""
        for child in self._busy:
            child.kill()
        idle, self._idle = self._idle, []
        await asyncio.gather(*(child.end() for child in idle))
        await until(lambda: not self._busy, 10.0)

    async def _ask(
        self, child: Child, target: str, request: Mapping[str, Any], timeout: timedelta, memory: int
    ) -> tuple[Any, ...]:
        seconds, before = timeout.total_seconds(), child.computed
        try:
            async with asyncio.timeout(seconds):
                return await child.ask(target, request, memory)
        except TimeoutError:
            computed = child.computed - before
            raise IsolatedTimeout(
                f"{target} ran past its limit of {seconds:g} s, of which it computed {computed:.1f} s, and was killed",
                limit=timeout,
                computed=timedelta(seconds=computed),
            ) from None

    async def _take(self, module: str) -> Child:
        """An idle child that has loaded the module, else a new one while there is room, else any idle one."""
        for child in [child for child in self._idle if not child.alive]:
            self._idle.remove(child)
            await child.end()
        fitting = [child for child in self._idle if module in child.modules]
        if fitting or len(self._idle) + len(self._busy) >= self._max_children:
            child = (fitting or self._idle)[-1]
            self._idle.remove(child)
        else:
            if not self._swept:
                sweep()
                self._swept = True
            child = Child(self._caps)
        self._busy.add(child)
        return child

    async def _put_back(self, child: Child, answer: tuple[Any, ...]) -> None:
        if not self._warned and not child.confined:
            self._warned = True
            log.warning("isolation_unconfined", why="no seccomp here: isolated processes can open sockets")
        clean = answer[0] in (frames.VALUE, frames.HANDLER_ERROR)
        worn = child.calls >= self._recycle_after or child.resident > self._recycle_resident
        if worn or not clean or child not in self._busy:
            await self._drop(child)
        else:
            self._busy.discard(child)
            self._idle.append(child)

    async def _drop(self, child: Child) -> None:
        child.kill()
        try:
            await child.end()
        finally:
            self._busy.discard(child)


def _value(answer: tuple[Any, ...], target: str, memory: int) -> Any:
    match answer:
        case (frames.VALUE, value, _):
            return value
        case (frames.HANDLER_ERROR, kind, error, message, after, _):
            raise _handler_error(str(kind), str(error)[:100], str(message)[:2000], after)
        case (frames.OUT_OF_MEMORY, evidence, _):
            raise out_of_memory(memory, str(evidence)[-_EVIDENCE:])
        case (frames.SURPRISE, text, evidence, _):
            raise IsolatedCrash(
                f"{target} failed: {str(text)[:1000]}", cause=CrashCause.SURPRISE, evidence=str(evidence)[-_EVIDENCE:]
            )
        case _:
            raise IsolatedCrash(f"{target} gave an answer that nobody knows", cause=CrashCause.SURPRISE)


def _handler_error(kind: str, error: str, message: str, after: Any) -> HandlerError:
    if kind == "try-later":
        return TryLater(message, error=error, after=None if after is None else timedelta(seconds=float(after)))
    return Rejected(message, error=error)
