"""A database that nothing else touches: the steward of a running platform would work on the jobs of these tests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import make_url

from harness import psql
from holdfast.adapters.postgres.migrate import upgrade
from holdfast.settings import Settings


@contextmanager
def own_settings(services: dict[str, str]) -> Iterator[Settings]:
    """Settings with a fresh, migrated database, which is dropped in the end; the broker is left out."""
    name = f"test_{secrets.token_hex(4)}"
    url = make_url(services["HOLDFAST_POSTGRES_URL"])
    psql(url, f'CREATE DATABASE "{name}"')
    try:
        database = url.set(database=name).render_as_string(hide_password=False)
        upgrade(database)
        yield Settings(postgres_url=database, redis_url=services["HOLDFAST_REDIS_URL"])
    finally:
        psql(url, f'DROP DATABASE "{name}" WITH (FORCE)')
