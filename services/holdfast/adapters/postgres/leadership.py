"""Leadership by a session-level advisory lock, on a connection that does nothing else.

The lock lives and dies with its connection: Postgres frees it when the process, the connection or Postgres itself
goes away. Between two checks a leader that lost its connection may act beside its successor for a moment; every
steward loop is safe to run twice.
"""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
from sqlalchemy import make_url

STEWARD_LOCK = 0x486F6C6466
"""Advisory lock of the steward ("Holdf")."""
TIMEOUT = 5.0
"""Seconds for connecting and for each question."""


class PostgresLeadership:
    """Implements `ports.leadership.Leadership`."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: asyncpg.Connection | None = None

    async def acquire(self) -> bool:
        """Try the lock; an unreachable Postgres means no."""
        if await self.held():
            return True
        try:
            connection = await asyncpg.connect(self._url, timeout=TIMEOUT, command_timeout=TIMEOUT)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        try:
            leads = await connection.fetchval("SELECT pg_try_advisory_lock($1)", STEWARD_LOCK)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            leads = False
        if leads:
            self._connection = connection
        else:
            await _close(connection)
        return bool(leads)

    async def held(self) -> bool:
        """Ask over the connection that has the lock."""
        if self._connection is None:
            return False
        try:
            await self._connection.fetchval("SELECT 1")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await self.release()
            return False
        return True

    async def release(self) -> None:
        """Closing the connection frees the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await _close(connection)


async def _close(connection: asyncpg.Connection) -> None:
    with contextlib.suppress(OSError, TimeoutError, asyncio.TimeoutError, asyncpg.PostgresError):
        await connection.close(timeout=1.0)
    connection.terminate()
