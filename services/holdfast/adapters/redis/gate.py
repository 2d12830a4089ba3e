"""The idempotency gate in Redis: one `SET NX GET` tells a new key from a held or an answered one.

A value is `F` + fingerprint while the first request is in flight (it expires within seconds, so a crash frees
the key), then `K` + fingerprint + job id for two days. Losing Redis loses speed, not correctness.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

from holdfast.adapters.redis.link import RedisLink
from holdfast.ports.gate import GateAnswer, Held, InFlight, Known

DIGEST = 32
"""Bytes of a fingerprint."""
PREFIX = "hf:idem:"
RETRY_AFTER = timedelta(seconds=1)
FORGET = f"""
if redis.call('GETRANGE', KEYS[1], {1 + DIGEST}, -1) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisGate:
    """Implements `ports.gate.Gate`. `hold` and `memory` are the two lifetimes, in seconds."""

    def __init__(self, link: RedisLink, *, hold: float, memory: float) -> None:
        self._link, self._redis = link, link.redis
        self._hold_ms, self._memory_ms = int(hold * 1000), int(memory * 1000)

    async def hold(self, tenant: str, key: str, fingerprint: bytes) -> GateAnswer:
        """One round trip, whatever the answer."""
        present = await self._link.spare(
            lambda: self._redis.set(_name(tenant, key), b"F" + fingerprint, nx=True, get=True, px=self._hold_ms)
        )
        if present is None:
            return Held()
        seen = present[1 : 1 + DIGEST]
        if present[:1] == b"K":
            return Known(seen, UUID(bytes=present[1 + DIGEST :]))
        return InFlight(seen, RETRY_AFTER)

    async def remember(self, tenant: str, key: str, fingerprint: bytes, job_id: UUID) -> None:
        """Overwrite the hold."""
        value = b"K" + fingerprint + job_id.bytes
        await self._link.spare(lambda: self._redis.set(_name(tenant, key), value, px=self._memory_ms))

    async def release(self, tenant: str, key: str, fingerprint: bytes) -> None:
        """Delete the hold, unless it has become an answer meanwhile."""
        await self._link.spare(lambda: self._redis.eval(RELEASE, 1, _name(tenant, key), b"F" + fingerprint))

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


def _name(tenant: str, key: str) -> str:
    """Hashed, because a key is the client's text and may be long."""
    return f"{PREFIX}{hashlib.sha256(f'{tenant}/{key}'.encode()).hexdigest()}"
