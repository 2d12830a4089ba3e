"""One warm Chromium: `ports.browser.Browser`.

Invariant: a Chromium goes on after a clean end only. A timeout, a crash, a cancellation, too much memory or any
surprise ends all its processes, and the next page gets a new one.

    first use ──► started ──► page after page ──► recycled after `recycle_after` pages or above `recycle_resident` bytes
                     │ does not start          │ anything but a clean end
                     └──► BrowserUnavailable   └──► ended, and an error of the port
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Awaitable
from contextlib import suppress
from datetime import timedelta
from typing import Never

import structlog

from holdfast.adapters.chromium.devtools import CommandFailed, Gone
from holdfast.adapters.chromium.printing import PageFailed, Printing
from holdfast.adapters.chromium.process import Chromium
from holdfast.ports.browser import BrowserUnavailable, Fetch, Printed, WebPage
from holdfast.ports.isolation import CrashCause, IsolatedCrash, IsolatedTimeout

log = structlog.get_logger(__name__)

_START_WITHIN = 20.0
_HEALTHY_WITHIN = 2.0
"""Seconds for an idle Chromium to say that it is there."""
_WEIGH_EVERY = 0.25
"""Seconds between two looks at the memory of a Chromium that works."""
_NO_MEMORY = re.compile(r"out of memory|javascript oom|bad_alloc", re.IGNORECASE)


class ChromiumBrowser:
    """Starts nothing before it is used. Belongs to the event loop that first uses it."""

    def __init__(self, program: str, *, recycle_after: int = 100, recycle_resident: int = 512 * 1024 * 1024) -> None:
        self._program = program
        self._recycle_after, self._recycle_resident = recycle_after, recycle_resident
        self._turn = asyncio.Semaphore(1)
        self._chromium: Chromium | None = None

    @property
    def pid(self) -> int | None:
        """Of the running Chromium's supervisor."""
        return self._chromium.pid if self._chromium else None

    async def print(self, page: WebPage, fetch: Fetch, *, timeout: timedelta, memory: int, most_bytes: int) -> Printed:
        """Print one page; see the port. A call that finds it busy waits, and its time begins after that."""
        async with self._turn:
            try:
                async with asyncio.timeout(timeout.total_seconds()):
                    chromium = await self._warm(memory)
                    printed = await self._printed(chromium, page, fetch, memory, most_bytes)
                    await self._look_over(chromium)
            except TimeoutError:
                raise await self._killed(timeout) from None
            except BaseException:
                await self._drop()
                raise
        return printed

    async def close(self) -> None:
        """End the running one; a page under way ends with an error."""
        await self._drop()

    async def _warm(self, memory: int) -> Chromium:
        """The running one if it is well, else a new one."""
        if self._chromium is not None and await _is_well(self._chromium):
            return self._chromium
        await self._drop()
        try:
            self._chromium = await Chromium.start(_program(self._program), memory)
            async with asyncio.timeout(_START_WITHIN):
                version = await self._chromium.devtools.send("Browser.getVersion")
        except (OSError, Gone, CommandFailed, TimeoutError) as error:
            said = self._chromium.last_words if self._chromium else ""
            raise BrowserUnavailable(
                f"Chromium ({self._program}) does not start: {said or str(error) or 'it does not answer'}; "
                "check HOLDFAST_CHROMIUM and the libraries of this image"
            ) from error
        log.info("chromium_started", version=version["product"], pid=self._chromium.pid, apart=self._chromium.apart)
        return self._chromium

    async def _printed(self, chromium: Chromium, page: WebPage, fetch: Fetch, memory: int, most_bytes: int) -> Printed:
        printing = Printing(chromium.devtools, page, fetch, most_bytes)
        chromium.begin()
        try:
            return await _first(
                printing.run(), printing.crashed, asyncio.shield(chromium.devtools.lost), _overweight(chromium, memory)
            )
        except CommandFailed as error:
            raise PageFailed(f"Chromium cannot print this page: {error}") from error
        except IsolatedCrash as crash:
            if crash.cause is CrashCause.SIGNAL and _NO_MEMORY.search(chromium.last_words):
                raise _too_much(f"the page ran out of memory within {memory // 1024**2} MiB") from crash
            raise
        except Gone as error:
            raise IsolatedCrash(
                f"Chromium died while it printed this page: {error}",
                cause=CrashCause.KILLED,
                evidence=chromium.last_words,
            ) from error

    async def _killed(self, limit: timedelta) -> IsolatedTimeout:
        computed = self._chromium.computed if self._chromium else 0.0
        await self._drop()
        return IsolatedTimeout(
            f"Chromium took longer than {limit.total_seconds():g} s for this page, of which it computed "
            f"{computed:.1f} s, and was killed",
            limit=limit,
            computed=timedelta(seconds=computed),
        )

    async def _look_over(self, chromium: Chromium) -> None:
        """After a clean end: recycle it when it is worn."""
        chromium.jobs += 1
        if chromium.jobs >= self._recycle_after or chromium.resident() > self._recycle_resident:
            await self._drop()

    async def _drop(self) -> None:
        chromium, self._chromium = self._chromium, None
        if chromium is not None:
            await chromium.end()


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"there is no program {name!r}")
    return found


async def _is_well(chromium: Chromium) -> bool:
    with suppress(Gone, CommandFailed, TimeoutError):
        async with asyncio.timeout(_HEALTHY_WITHIN):
            await chromium.devtools.send("Browser.getVersion")
        return True
    return False


async def _overweight(chromium: Chromium, memory: int) -> Never:
    """Return never; raise when it holds too much."""
    while True:
        await asyncio.sleep(_WEIGH_EVERY)
        held = await asyncio.to_thread(chromium.resident)
        if held > memory:
            raise _too_much(f"the page took {held // 1024**2} MiB, more than its limit of {memory // 1024**2} MiB")


def _too_much(message: str) -> IsolatedCrash:
    return IsolatedCrash(message, cause=CrashCause.MEMORY, error="MemoryLimit")


async def _first(*awaitables: Awaitable[Printed]) -> Printed:
    """What the first of them comes to; the others are cancelled."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return min(done, key=tasks.index).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
