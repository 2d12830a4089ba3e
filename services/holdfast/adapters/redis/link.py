"""The connection to Redis that everything in a process shares, and its patience with a Redis that does not answer.

A Redis that hangs would cost every request the whole timeout, so after a failure it is left alone for a second;
then one caller tries it, and the others go on without it until that one has its answer.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from holdfast.domain.errors import RedisUnavailable
from holdfast.telemetry import metrics

COOL_DOWN = 1.0
"""Seconds for which Redis is left alone after a failure."""


class RedisLink:
    """`redis` behind two ways to ask it. Both raise RedisUnavailable; `timeout` is that of one command, in seconds."""

    def __init__(self, url: str, *, timeout: float) -> None:
        self.redis: Redis = Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        self._failing, self._left_alone_until = False, 0.0

    async def spare(self, command: Callable[[], Awaitable[Any]]) -> Any:
        """Run a command, unless Redis has just failed: for what can be done without."""
        now = time.monotonic()
        if now < self._left_alone_until:
            metrics.REDIS_UNAVAILABLE.of().inc()
            raise RedisUnavailable("Redis did not answer a moment ago, so it is left alone for a second")
        if self._failing:  # the others wait for what this one finds
            self._left_alone_until = now + COOL_DOWN
        return await self.call(command())

    async def call(self, command: Awaitable[Any]) -> Any:
        """Run a command, whatever Redis did before."""
        try:
            answer = await command
        except (RedisError, OSError, TimeoutError) as error:
            metrics.REDIS_UNAVAILABLE.of().inc()
            self._failing, self._left_alone_until = True, time.monotonic() + COOL_DOWN
            raise RedisUnavailable(f"Redis does not answer: {error}") from error
        self._failing, self._left_alone_until = False, 0.0
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self.redis.aclose()
