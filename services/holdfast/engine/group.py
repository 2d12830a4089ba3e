"""Group commit: calls that arrive while one is under way share the next one.

A lone call runs at once; under load each run carries whatever came meanwhile, so the cost of a commit is divided
by the number of callers, and nobody waits for a timer. A run that fails on its contents (not on its dependency)
is repeated item by item, so that one bad item fails alone.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

from holdfast.domain.errors import Unavailable
from holdfast.telemetry import metrics
from holdfast.telemetry.label_values import Shared

T = TypeVar("T")
R = TypeVar("R")


class Group(Generic[T, R]):
    """Turns `run`, which takes many items and returns a result for each in order, into a call for one item."""

    def __init__(
        self, run: Callable[[Sequence[T]], Awaitable[Sequence[R]]], statement: Shared, *, largest: int = 500
    ) -> None:
        self._run, self._largest = run, largest
        self._items, self._seconds = metrics.SHARED_ITEMS.of(statement), metrics.SHARED_SECONDS.of(statement)
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._flushing: asyncio.Task[None] | None = None

    async def __call__(self, item: T) -> R:
        """Run `item` with its group. Once started a run is not cancelled, for others share it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._flushing is None:
            # What many share is about none of them: its log lines and spans must not name the one that came first.
            self._flushing = asyncio.create_task(self._flush(), context=Context())
        return await future

    async def _flush(self) -> None:
        try:
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._largest))]
                await self._settle(batch)
        finally:
            self._flushing = None

    async def _settle(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        self._items.observe(len(batch))
        began = time.perf_counter()
        try:
            results = await self._run([item for item, _ in batch])
            self._seconds.observe(time.perf_counter() - began)
            if len(results) != len(batch):
                raise RuntimeError(f"{len(results)} results came for {len(batch)} items")
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, Unavailable):
                for one in batch:
                    await self._settle([one])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
