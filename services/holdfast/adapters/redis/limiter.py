"""Token buckets in Redis, spent from a local share: most requests need no round trip.

A process takes what its requests of the next `BLOCK` seconds could cost at the full rate, and spends it by itself; what
it has not spent after `HOLD` seconds it forgets. While the bucket is known to be empty nobody asks it either: it cannot
have gained more than its rate.

How far it can be off. Every token that is spent was taken from the bucket in Redis first, so with `n` processes the
jobs let through between two moments are at most what the bucket held, plus what it gained, plus `n` blocks that were
taken before the first moment. The other way round, a job may be refused while up to `n - 1` blocks lie unspent with
other processes, for `HOLD` seconds at most.

    Redis …            what happens
    does not answer    each process goes on with a bucket of its own at its fair share of the rate: a part for each
                       process that was seen in the last `SEEN` seconds (the whole, if it has never asked Redis)
    comes back         its buckets are in force at once; they have filled meanwhile: up to one burst more
    forgot everything  every bucket is full again: one burst more
    hangs              is left alone for a second at a time (`adapters.redis.link`)
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.adapters.redis.link import RedisLink
from holdfast.domain.bucket import MOST_SUBJECTS, Bucket, Buckets, Grant, Rate, answer
from holdfast.domain.errors import RedisUnavailable

BLOCK = 0.1
"""Seconds' worth of tokens that a process takes at a time; at most a tenth of the bucket."""
HOLD = 1.0
"""Seconds for which it may keep them."""
REPORT_EVERY, SEEN = 5.0, 15.0
"""Seconds between two signs of life of a process, and how long one counts."""
PREFIX = "hf:limit:"
PROCESSES = "hf:limiters"

TAKE = """
local rate, burst, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local found = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = burst
if found[1] then
  local at = tonumber(found[2])
  tokens = math.min(burst, tonumber(found[1]) + math.max(0, now - at) * rate)
  now = math.max(now, at)
end
local granted = math.min(want, math.floor(tokens))
tokens = tokens - granted
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) / rate * 1000) + 1000)
return {granted, string.format('%.6f', tokens)}
"""
"""A bucket that is not there is full, so it is kept only for as long as it takes to fill."""
ALIVE = f"""
local now = redis.call('TIME')[1]
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - {SEEN:g})
redis.call('EXPIRE', KEYS[1], {SEEN:g})
return redis.call('ZCARD', KEYS[1])
"""


@dataclass(slots=True)
class _Share:
    """What this process has of one bucket, and what it knows of the rest."""

    tokens: int = 0
    until: float = 0.0
    bucket: Bucket | None = None
    """As Redis told it last. Others take from it too, so its level is the most that can be there."""
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def spend(self, cost: int, now: float) -> bool:
        """Spend `cost` tokens, if they are here."""
        if now > self.until:
            self.tokens = 0
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True

    def answer(self, rate: Rate, cost: int, granted: int, now: float) -> Grant:
        level = self.bucket.level(rate, now) if self.bucket else 0.0
        return answer(rate, cost, granted, self.tokens + level)


class RedisLimiter:
    """Implements `ports.limiter.Limiter`; `process` is a name that no other process has."""

    def __init__(self, link: RedisLink, process: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._link, self._process, self._monotonic = link, process, monotonic
        self._take = link.redis.register_script(TAKE)
        self._alive = link.redis.register_script(ALIVE)
        self._shares: OrderedDict[str, _Share] = OrderedDict()
        self._own = Buckets()
        self._processes, self._report_at = 1, float("-inf")

    async def take(self, subject: str, rate: Rate, cost: int) -> Grant:
        """From the share of this process, or else from Redis, by one request at a time."""
        share = self._share(subject)
        now = self._monotonic()
        if share.spend(cost, now):
            return share.answer(rate, cost, cost, now)
        async with share.asking:
            now = self._monotonic()
            if share.spend(cost, now):  # another request has brought enough meanwhile
                return share.answer(rate, cost, cost, now)
            if share.bucket is None or share.bucket.level(rate, now) >= 1:
                try:
                    await self._refill(subject, share, rate, cost)
                except RedisUnavailable:
                    return self._own.take(subject, rate.shared_by(self._processes), cost, now)
            granted = min(cost, share.tokens)
            share.tokens -= granted
            return share.answer(rate, cost, granted, self._monotonic())

    async def _refill(self, subject: str, share: _Share, rate: Rate, cost: int) -> None:
        block = math.ceil(min(rate.per_second * BLOCK, rate.burst / 10))
        want = max(cost - share.tokens, block)
        arguments: list[float] = [rate.per_second, rate.burst, want]
        granted, left = await self._link.spare(lambda: self._take(keys=[PREFIX + subject], args=arguments))
        now = self._monotonic()
        share.tokens, share.until, share.bucket = share.tokens + granted, now + HOLD, Bucket(float(left), now)
        if now >= self._report_at:
            self._report_at = now + REPORT_EVERY
            with contextlib.suppress(RedisUnavailable):
                await self._report()

    async def _report(self) -> None:
        """Tell that this process lives, and learn how many do."""
        self._processes = await self._link.spare(lambda: self._alive(keys=[PROCESSES], args=[self._process]))

    def _share(self, subject: str) -> _Share:
        share = self._shares.pop(subject, None) or _Share()
        self._shares[subject] = share
        if len(self._shares) > MOST_SUBJECTS:
            self._shares.popitem(last=False)
        return share
