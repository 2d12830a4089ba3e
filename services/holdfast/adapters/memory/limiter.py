"""The rate limiter of a process that is alone."""

from __future__ import annotations

from collections.abc import Callable

from holdfast.domain.bucket import Buckets, Grant, Rate


class MemoryLimiter:
    """Implements `ports.limiter.Limiter`; `monotonic` tells the time in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._buckets, self._monotonic = Buckets(), monotonic

    async def take(self, subject: str, rate: Rate, cost: int) -> Grant:
        """From a dictionary."""
        return self._buckets.take(subject, rate, cost, self._monotonic())
