"""What passes is LedgerUnavailable; what is wrong with the code is raised as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from sqlalchemy import make_url

from harness import free_port, soon
from holdfast.adapters.postgres import schema
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.outbox import PostgresOutbox
from holdfast.domain.errors import LedgerUnavailable
from holdfast.ports.ledger import JobQuery
from holdfast.settings import Settings


def url_with(settings: Settings, **changes: object) -> str:
    url = make_url(settings.postgres_url.get_secret_value()).set(**changes)  # type: ignore[arg-type]
    return url.render_as_string(hide_password=False)


async def answers(ask: Callable[[], Awaitable[object]]) -> bool:
    try:
        await ask()
    except LedgerUnavailable:
        return False
    return True


async def test_a_postgres_that_is_away_is_unavailable(settings: Settings) -> None:
    database = Database(url_with(settings, port=free_port()))
    with pytest.raises(LedgerUnavailable, match="Postgres does not answer"):
        await PostgresLedger(database).jobs(JobQuery("acme"))
    with pytest.raises(LedgerUnavailable):
        await PostgresOutbox(database).promote(1)
    await database.close()


async def test_a_database_that_does_not_exist_is_unavailable(settings: Settings) -> None:
    database = Database(url_with(settings, database="test_nothing_here"))
    with pytest.raises(LedgerUnavailable):
        await PostgresLedger(database).ping()
    await database.close()


async def test_a_statement_that_takes_too_long_is_unavailable_and_leaves_the_pool_in_order(settings: Settings) -> None:
    database = Database(settings.postgres_url.get_secret_value(), pool=1, timeout=0.1)
    with pytest.raises(LedgerUnavailable):
        await database.all("SELECT pg_sleep(5)")
    await soon(lambda: answers(lambda: database.one("SELECT 1")))
    await database.close()


async def test_a_killed_connection_is_replaced(settings: Settings, database: Database) -> None:
    victim = Database(settings.postgres_url.get_secret_value(), pool=1)
    row = await victim.one("SELECT pg_backend_pid() AS pid")
    assert row is not None
    await database.all("SELECT pg_terminate_backend($1)", row.pid)
    await soon(lambda: answers(PostgresLedger(victim).ping))
    await victim.close()


async def test_connections_that_postgres_closed_while_they_were_idle_cost_no_statement(
    settings: Settings, database: Database
) -> None:
    victims = Database(settings.postgres_url.get_secret_value(), pool=3)

    async def pids() -> list[int]:
        found = await asyncio.gather(*(victims.all("SELECT pg_backend_pid() AS pid, pg_sleep(0.1)") for _ in range(3)))
        return [rows[0].pid for rows in found]

    before = await pids()
    for pid in before:
        await database.all("SELECT pg_terminate_backend($1, 5000)", pid)
    after = await pids()
    assert not set(before) & set(after)
    await victims.close()


async def test_a_deadlock_is_unavailable_for_the_statement_did_nothing(database: Database) -> None:
    take_both = "WITH a AS MATERIALIZED (SELECT pg_advisory_xact_lock($1) AS one), b AS MATERIALIZED \
(SELECT pg_sleep(2) AS two FROM a), c AS MATERIALIZED (SELECT pg_advisory_xact_lock($2) AS three FROM b) \
SELECT one, two, three FROM a, b, c"
    answers = await asyncio.gather(
        database.all(take_both, 71, 72), database.all(take_both, 72, 71), return_exceptions=True
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["LedgerUnavailable", "list"]


async def test_a_mistake_in_a_statement_is_not_an_outage(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedColumnError):
        await database.all("SELECT nonsense FROM jobs")


async def test_a_schema_of_another_version_is_not_worked_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "head", lambda: "9999")
    with pytest.raises(LedgerUnavailable, match=r"this code needs 9999; run `holdfast db upgrade`"):
        await PostgresLedger(database).ping()
