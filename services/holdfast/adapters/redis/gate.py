"""The idempotency gate in Redis: one `SET NX GET` tells a new key from a held or an answered one.

The keys of requests that came together share a round trip, and one command of the client library, which takes longer
to write and read a command than Redis takes to obey it.

A value is `F` + fingerprint while the first request is in flight (it expires within seconds, so a crash frees
the key), then `K` + fingerprint + job id for two days. Losing Redis loses speed, not correctness.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

from holdfast.adapters.redis.link import RedisLink
from holdfast.ports.gate import Answered, GateAnswer, Held, InFlight, Keyed, Known

DIGEST = 32
"""Bytes of a fingerprint."""
PREFIX = "hf:idem:"
RETRY_AFTER = timedelta(seconds=1)
HOLD = """
local seen = {}
for i, key in ipairs(KEYS) do seen[i] = redis.call('SET', key, ARGV[i + 1], 'NX', 'GET', 'PX', ARGV[1]) end
return seen
"""
REMEMBER = "for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1]) end"
FORGET = f"""
if redis.call('GETRANGE', KEYS[1], {1 + DIGEST}, -1) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0
"""
RELEASE = """
for i, key in ipairs(KEYS) do if redis.call('GET', key) == ARGV[i] then redis.call('DEL', key) end end
"""


class RedisGate:
    """Implements `ports.gate.Gate`. `hold` and `memory` are the two lifetimes, in seconds."""

    def __init__(self, link: RedisLink, *, hold: float, memory: float) -> None:
        self._link, self._redis = link, link.redis
        self._hold, self._remember = link.redis.register_script(HOLD), link.redis.register_script(REMEMBER)
        self._hold_ms, self._memory_ms = int(hold * 1000), int(memory * 1000)

    async def hold(self, requests: Sequence[Keyed]) -> list[GateAnswer]:
        """One round trip, whatever the answers."""
        values: list[int | bytes] = [self._hold_ms, *(b"F" + request.fingerprint for request in requests)]
        present = await self._link.spare(lambda: self._hold(keys=list(map(_name, requests)), args=values))
        return list(map(_answer, present))

    async def remember(self, answers: Sequence[Answered]) -> None:
        """Overwrite the holds."""
        names = [_name(request) for request, _ in answers]
        values: list[int | bytes] = [
            self._memory_ms,
            *(b"K" + request.fingerprint + job_id.bytes for request, job_id in answers),
        ]
        await self._link.spare(lambda: self._remember(keys=names, args=values))

    async def release(self, requests: Sequence[Keyed]) -> None:
        """Delete each hold, unless it has become an answer meanwhile."""
        names, held = list(map(_name, requests)), [b"F" + request.fingerprint for request in requests]
        await self._link.spare(lambda: self._redis.eval(RELEASE, len(names), *names, *held))

    async def version(self) -> str:
        """The server's version."""
        found = await self._link.call(self._redis.info("server"))
        return str(found["redis_version"])

    async def known(self) -> AsyncIterator[tuple[bytes, UUID]]:
        """Every answered key, by the name of its entry, with the job that it names. Walks the whole database."""
        cursor = 0
        while True:
            cursor, names = await self._link.call(self._redis.scan(cursor, match=f"{PREFIX}*", count=1000))
            values = await self._link.call(self._redis.mget(names)) if names else []
            for name, value in zip(names, values, strict=True):
                if value and value[:1] == b"K":
                    yield name, UUID(bytes=value[1 + DIGEST :])
            if cursor == 0:
                return

    async def forget(self, name: bytes, job_id: UUID) -> bool:
        """Delete an entry, unless it names another job by now."""
        return bool(await self._link.call(self._redis.eval(FORGET, 1, name, job_id.bytes)))

    async def ping(self) -> None:
        """PING, also while requests leave Redis alone."""
        await self._link.call(self._redis.ping())


def _answer(present: bytes | None) -> GateAnswer:
    if present is None:
        return Held()
    seen = present[1 : 1 + DIGEST]
    return Known(seen, UUID(bytes=present[1 + DIGEST :])) if present[:1] == b"K" else InFlight(seen, RETRY_AFTER)


def _name(request: Keyed) -> str:
    """Hashed, because a key is the client's text and may be long."""
    return f"{PREFIX}{hashlib.sha256(f'{request.tenant}/{request.key}'.encode()).hexdigest()}"
