"""Leadership by a session-level advisory lock, on a connection that does nothing else.

The lock lives and dies with its connection: Postgres frees it when the process, the connection or Postgres itself
goes away. Between two checks a leader that lost its connection may act beside its successor for a moment; every
steward loop is safe to run twice.
"""

from __future__ import annotations

import contextlib

import asyncpg

from holdfast.adapters.postgres.database import dsn
from holdfast.domain.errors import LedgerUnavailable

STEWARD_LOCK = 0x486F6C6466
"""Advisory lock of the steward ("Holdf")."""
LEADER = """
SELECT coalesce(host(client_addr), 'a local socket') AS address, backend_start AT TIME ZONE 'UTC' AS since
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND classid::bigint = $1 AND objid::bigint = $2 AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
TIMEOUT = 5.0
"""Seconds for connecting and for each question."""
_LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says when a connection is found broken in the middle of a question
)


class PostgresLeadership:
    """Implements `ports.leadership.Leadership`."""

    def __init__(self, url: str) -> None:
        self._url = dsn(url)
        self._connection: asyncpg.Connection | None = None

    async def acquire(self) -> bool:
        """Try the lock; an unreachable Postgres means no."""
        if await self.held():
            return True
        try:
            connection = await asyncpg.connect(self._url, timeout=TIMEOUT, command_timeout=TIMEOUT)
        except _LOST:
            return False
        try:
            leads = await connection.fetchval("SELECT pg_try_advisory_lock($1)", STEWARD_LOCK)
        except _LOST:
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
        except _LOST:
            await self.release()
            return False
        return True

    async def leader(self) -> str | None:
        """Look the lock up; a 64-bit key is two halves in `pg_locks`."""
        try:
            connection = await asyncpg.connect(self._url, timeout=TIMEOUT, command_timeout=TIMEOUT)
            try:
                row = await connection.fetchrow(LEADER, STEWARD_LOCK >> 32, STEWARD_LOCK & 0xFFFFFFFF)
            finally:
                await _close(connection)
        except _LOST as error:
            raise LedgerUnavailable(f"Postgres does not tell who is steward: {error}") from error
        return row and f"the process connected from {row['address']} since {row['since']:%Y-%m-%d %H:%M:%S} UTC"

    async def release(self) -> None:
        """Closing the connection frees the lock."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await _close(connection)


async def _close(connection: asyncpg.Connection) -> None:
    with contextlib.suppress(*_LOST):
        await connection.close(timeout=1.0)
    connection.terminate()
