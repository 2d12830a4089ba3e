"""One connection pool, and one way in which Postgres errors become ours.

Statements run in autocommit: each is a transaction of its own, in one round trip, and whatever must happen
together is one statement (with CTEs). An error that may pass becomes LedgerUnavailable; anything else is a
defect and is raised as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson
from sqlalchemy import Row, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from holdfast.domain.errors import LedgerUnavailable

CONNECT_TIMEOUT = 5.0
"""Seconds for a new connection."""
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


class Database:
    """A pool of connections to one database. Safe to share between the tasks of one event loop."""

    def __init__(self, url: str, *, pool: int = 8, timeout: float = 10.0) -> None:
        self.engine: AsyncEngine = create_async_engine(
            url,
            isolation_level="AUTOCOMMIT",
            json_deserializer=orjson.loads,
            pool_size=pool,
            max_overflow=0,
            pool_timeout=timeout,
            connect_args={
                "timeout": CONNECT_TIMEOUT,
                "command_timeout": timeout,
                "server_settings": {"application_name": "holdfast", "jit": "off"},
            },
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_closed)

    async def all(self, statement: str, *values: Any) -> Sequence[Row[Any]]:
        """Run one statement with `$1`-style values; return its rows. Raise LedgerUnavailable."""
        try:
            async with self.engine.connect() as connection:
                result = await connection.exec_driver_sql(statement, values)
                return result.all() if result.returns_rows else ()
        except (InterfaceError, OperationalError, PoolTimeout, *_PASSING) as error:
            raise self._unavailable(error) from error
        except DBAPIError as error:
            if error.connection_invalidated or isinstance(error.orig and error.orig.__cause__, _PASSING):
                raise self._unavailable(error) from error
            raise

    async def one(self, statement: str, *values: Any) -> Row[Any] | None:
        """Run one statement; return its first row."""
        rows = await self.all(statement, *values)
        return rows[0] if rows else None

    async def close(self) -> None:
        """Close every connection; an event loop that ends must call this first."""
        await asyncio.shield(self.engine.dispose())

    @staticmethod
    def _unavailable(error: BaseException) -> LedgerUnavailable:
        cause = getattr(error, "orig", None) or error
        text = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        return LedgerUnavailable(f"Postgres does not answer as it should: {text}")


def _refuse_closed(connection: Any, *_: Any) -> None:
    """Have the pool open a new connection in place of one that Postgres has closed meanwhile.

    The driver has seen the end of the stream, so no round trip is needed to find out; without this the first
    statements after a restart of Postgres would fail, one for each connection.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError("Postgres has closed the connection")
