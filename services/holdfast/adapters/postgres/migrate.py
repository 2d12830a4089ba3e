"""Bring a database to the schema that the code expects: `holdfast db upgrade`.

Migrations run under a lock timeout and a statement timeout, so that one which cannot get its lock fails and is
tried again, instead of queueing every other statement behind it. An advisory lock lets one migrate at a time.

Apart from `schema`, so that a process which only serves holds neither Alembic nor SQLAlchemy in memory.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config

from holdfast.adapters.postgres.schema import MIGRATIONS


def config(url: str) -> Config:
    """Alembic's configuration for a database."""
    settings = Config()
    settings.set_main_option("script_location", str(MIGRATIONS))
    settings.attributes["url"] = url
    return settings


def upgrade(url: str, revision: str = "head") -> None:
    """Migrate the database at `url`; idempotent."""
    command.upgrade(config(url), revision)
