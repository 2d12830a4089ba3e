"""Look at something beside the requests, at most once in a while, and not at all while there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context


class Occasionally:
    """Runs `look` in a task of its own when it is poked and the last run ended more than `every` seconds ago."""

    def __init__(self, look: Callable[[], Awaitable[None]], every: float, monotonic: Callable[[], float]) -> None:
        self._look, self._every, self._monotonic = look, every, monotonic
        self._next = float("-inf")
        self._looking: asyncio.Task[None] | None = None

    def poke(self) -> None:
        """Begin a look if one is due. Returns at once: the caller goes by what the last one found."""
        if self._looking is None and self._monotonic() >= self._next:
            self._looking = asyncio.create_task(self._run(), context=Context())  # it is about no one request

    async def _run(self) -> None:
        try:
            await self._look()
        finally:
            self._next = self._monotonic() + self._every
            self._looking = None
