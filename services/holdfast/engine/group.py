"""Group commit: calls that arrive while one is under way share the next one.

A lone call runs at once; under load each run carries whatever came meanwhile, so the cost of a commit is divided by the
number of callers. What a run costs whatever it carries is most of it while it carries one or two, so a run that was
shared is followed by the next when `ENOUGH` items wait, or `PACE` after it began: no call waits longer than that for
others. A run that fails on its contents (not on its dependency) is repeated item by item, so that one bad item fails
alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Generic, TypeVar

from holdfast.domain.errors import Unavailable
from holdfast.telemetry import metrics
from holdfast.telemetry.label_values import Shared

PACE = 0.01
"""Seconds from the beginning of a shared run to that of the next, at most."""
ENOUGH = 4
"""More save little: with four a job pays a quarter of a run."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Lot(Generic[T, R]):
    """What came in one call, or as much of it as one run takes."""

    items: Sequence[T]
    results: asyncio.Future[Sequence[R | Exception]]


class Group(Generic[T, R]):
    """Turns `run`, which takes many items and returns a result for each in order, into calls for one item or some."""

    def __init__(
        self, run: Callable[[Sequence[T]], Awaitable[Sequence[R]]], statement: Shared, *, largest: int = 500
    ) -> None:
        self._run, self._largest = run, largest
        self._items, self._seconds = metrics.SHARED_ITEMS.of(statement), metrics.SHARED_SECONDS.of(statement)
        self._waiting: deque[_Lot[T, R]] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._enough: asyncio.Future[None] | None = None

    async def __call__(self, item: T) -> R:
        """Run `item` with its group; raise what it fails of."""
        (result,) = await self._begin(_Lot((item,), asyncio.get_running_loop().create_future()))
        if isinstance(result, Exception):
            raise result
        return result

    async def all(self, items: Sequence[T]) -> list[R | Exception]:
        """Run the items with their group, in their order; a result, or what it failed of, for each."""
        new_future = asyncio.get_running_loop().create_future
        lots = [
            _Lot[T, R](items[first : first + self._largest], new_future())
            for first in range(0, len(items), self._largest)
        ]
        for lot in lots:
            self._begin(lot)
        return [result for lot in lots for result in await lot.results]

    def _begin(self, lot: _Lot[T, R]) -> asyncio.Future[Sequence[R | Exception]]:
        """Once started a run is not cancelled, for others share it."""
        self._waiting.append(lot)
        if self._enough is not None and self._enough_wait():
            _end(self._enough)
        if self._flushing is None:
            # What many share is about none of them: its log lines and spans must not name the one that came first.
            self._flushing = asyncio.create_task(self._flush(), context=Context())
        return lot.results

    async def _flush(self) -> None:
        try:
            while self._waiting:
                lots, began = self._next(), time.monotonic()
                await self._settle(lots)
                if len(lots) > 1:
                    await self._more(began + PACE - time.monotonic())
        finally:
            self._flushing = None

    async def _more(self, seconds: float) -> None:
        """Wait until enough items wait to share a run, but no longer than that."""
        if seconds <= 0 or self._enough_wait():
            return
        loop = asyncio.get_running_loop()
        self._enough = loop.create_future()
        timer = loop.call_later(seconds, _end, self._enough)
        try:
            await self._enough
        finally:
            timer.cancel()
            self._enough = None

    def _enough_wait(self) -> bool:
        return len(self._waiting) >= ENOUGH or sum(len(lot.items) for lot in self._waiting) >= ENOUGH

    def _next(self) -> Sequence[_Lot[T, R]]:
        """As many of the lots that wait as one run takes, and at least one."""
        lots = [self._waiting.popleft()]
        size = len(lots[0].items)
        while self._waiting and size + len(self._waiting[0].items) <= self._largest:
            lots.append(self._waiting.popleft())
            size += len(lots[-1].items)
        return lots

    async def _settle(self, lots: Sequence[_Lot[T, R]]) -> None:
        results = await self._results([item for lot in lots for item in lot.items])
        first = 0
        for lot in lots:
            after = first + len(lot.items)
            if not lot.results.done():
                lot.results.set_result(results[first:after])
            first = after

    async def _results(self, items: Sequence[T]) -> Sequence[R | Exception]:
        self._items.observe(len(items))
        began = time.perf_counter()
        try:
            results = await self._run(items)
            self._seconds.observe(time.perf_counter() - began)
            if len(results) != len(items):
                raise RuntimeError(f"{len(results)} results came for {len(items)} items")
        except Exception as error:
            if len(items) > 1 and not isinstance(error, Unavailable):
                return [result for item in items for result in await self._results([item])]
            return [error] * len(items)
        return results


def _end(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
