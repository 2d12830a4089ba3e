"""One connection pool, and one way in which Postgres errors become ours.

Statements run in autocommit: each is a transaction of its own, in one round trip, and whatever must happen
together is one statement (with CTEs). Each connection prepares a statement once. An error that may pass becomes
LedgerUnavailable; anything else is a defect and is raised as it is.

The pool is asyncpg's own: SQLAlchemy, which describes the tables and migrates them, would take more of the processor
for each statement than asyncpg does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson

from holdfast.domain.errors import LedgerUnavailable

CONNECT_TIMEOUT = 5.0
"""Seconds for a new connection, and for the farewell of all of them."""
_PASSING = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InterfaceError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.InternalClientError,
    asyncpg.TransactionRollbackError,  # a deadlock or a serialization failure: the statement did nothing
)


class Row(asyncpg.Record):  # type: ignore[misc]
    """A row whose columns are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def dsn(url: str) -> str:
    """The URL of a setting, which may name SQLAlchemy's driver (`postgresql+asyncpg://`), as the driver takes it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


class Database:
    """A pool of connections to one database. Safe to share between the tasks of one event loop."""

    def __init__(self, url: str, *, pool: int = 8, timeout: float = 10.0) -> None:
        self._url = dsn(url)
        self._size, self._timeout = pool, timeout
        self._pool: asyncpg.Pool | None = None

    async def all(self, statement: str, *values: Any) -> Sequence[Row]:
        """Run one statement with `$1`-style values; return its rows. Raise LedgerUnavailable."""
        try:
            # A pool connects and takes connections out of service by itself: one that Postgres has closed meanwhile
            # costs no statement, for the driver has seen the end of the stream.
            async with (self._pool or await self._open()).acquire(timeout=self._timeout) as connection:
                found: list[Row] = await connection.fetch(statement, *values)
                return found
        except _PASSING as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise LedgerUnavailable(f"Postgres does not answer as it should: {text}") from error

    async def one(self, statement: str, *values: Any) -> Row | None:
        """Run one statement; return its first row."""
        rows = await self.all(statement, *values)
        return rows[0] if rows else None

    async def close(self) -> None:
        """Close every connection; an event loop that ends must call this first."""
        if self._pool is not None:
            await asyncio.shield(_close(self._pool))

    async def _open(self) -> asyncpg.Pool:
        """The pool of this event loop. It connects when it is asked for a connection, and keeps what it has."""
        pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._size,
            max_inactive_connection_lifetime=0,
            init=_read_json,
            reset=_leave_as_it_is,
            record_class=Row,
            timeout=CONNECT_TIMEOUT,
            command_timeout=self._timeout,
            server_settings={"application_name": "holdfast", "jit": "off"},
        )
        self._pool = self._pool or pool  # another task may have been here meanwhile
        return self._pool


async def _close(pool: asyncpg.Pool) -> None:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await pool.close()
    except TimeoutError:  # a statement is still under way: its connection was cut
        return


async def _read_json(connection: asyncpg.Connection) -> None:
    """JSON goes in as text, and comes out decoded; `jsonb` has a version in front of it on the wire."""
    for name, version in (("json", b""), ("jsonb", b"\x01")):
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            format="binary",
            encoder=lambda text, version=version: version + text.encode(),
            decoder=lambda wire, version=version: orjson.loads(wire[len(version) :]),
        )


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """Between two statements there is nothing to put back: no transaction, no setting, no cursor."""
