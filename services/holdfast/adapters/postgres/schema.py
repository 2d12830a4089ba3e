"""Which schema the code expects, and how to get there: `holdfast db upgrade`.

Migrations run under a lock timeout and a statement timeout, so that one which cannot get its lock fails and is
tried again, instead of queueing every other statement behind it. An advisory lock lets one migrate at a time.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from holdfast.adapters.postgres.database import Database
from holdfast.domain.errors import LedgerUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"


def config(url: str) -> Config:
    """Alembic's configuration for a database."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["url"] = url
    return settings


@cache
def head() -> str | None:
    """The newest revision among the migrations."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at `url`; idempotent."""
    command.upgrade(config(url), revision)


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
