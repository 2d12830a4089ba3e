"""Which schema the code expects, and whether a database has it. How to get there is `migrate`'s."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import asyncpg

from holdfast.adapters.postgres.database import Database
from holdfast.domain.errors import LedgerUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"


@cache
def head() -> str:
    """The newest revision: a migration's file is named by its number, and they are one line."""
    return max(file.name for file in (MIGRATIONS / "versions").glob("[0-9]*.py")).partition("_")[0]


async def check_version(database: Database) -> None:
    """Raise LedgerUnavailable unless the database answers and is at `head()`."""
    try:
        row = await database.one("SELECT version_num FROM alembic_version")
    except asyncpg.PostgresError as error:
        raise LedgerUnavailable(f"the ledger cannot be read: {error}; run `holdfast db upgrade`") from error
    found = row.version_num if row else "nothing"
    if found != head():
        raise LedgerUnavailable(
            f"the ledger's schema is at {found}, this code needs {head()}; run `holdfast db upgrade`"
        )
