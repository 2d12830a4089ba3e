"""The idempotency gate in Redis: one `SET NX GET` tells a new key from a held or an answered one.

A value is `F` + fingerprint while the first request is in flight (it expires within seconds, so a crash frees
the key), then `K` + fingerprint + job id for two days. Losing Redis loses speed, not correctness.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from redis.exceptions import RedisError

from holdfast.domain.errors import GateUnavailable
from holdfast.ports.gate import GateAnswer, Held, InFlight, Known

DIGEST = 32
"""Bytes of a fingerprint."""
RETRY_AFTER = timedelta(seconds=1)
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class RedisGate:
    """Implements `ports.gate.Gate`. `hold` and `memory` are the two lifetimes, in seconds."""

    def __init__(self, url: str, *, hold: float, memory: float, timeout: float) -> None:
        self._redis: Redis = Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)
        self._hold_ms, self._memory_ms = int(hold * 1000), int(memory * 1000)

    async def hold(self, tenant: str, key: str, fingerprint: bytes) -> GateAnswer:
        """One round trip, whatever the answer."""
        present = await self._call(
            self._redis.set(_name(tenant, key), b"F" + fingerprint, nx=True, get=True, px=self._hold_ms)
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
        await self._call(self._redis.set(_name(tenant, key), value, px=self._memory_ms))

    async def release(self, tenant: str, key: str, fingerprint: bytes) -> None:
        """Delete the hold, unless it has become an answer meanwhile."""
        await self._call(self._redis.eval(RELEASE, 1, _name(tenant, key), b"F" + fingerprint))

    async def ping(self) -> None:
        """PING."""
        await self._call(self._redis.ping())

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _call(self, command: Any) -> Any:
        try:
            return await command
        except (RedisError, OSError, TimeoutError) as error:
            raise GateUnavailable(f"Redis does not answer: {error}") from error


def _name(tenant: str, key: str) -> str:
    """Hashed, because a key is the client's text and may be long."""
    return f"hf:idem:{hashlib.sha256(f'{tenant}/{key}'.encode()).hexdigest()}"
