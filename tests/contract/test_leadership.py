"""Leadership in PostgreSQL: one leader at a time, and the lock goes with its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import make_url

from harness import free_port, soon
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.leadership import PostgresLeadership
from holdfast.settings import Settings

HOLDER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database \
WHERE datname = current_database())"


@pytest.fixture
async def contenders(
    settings: Settings, database: Database
) -> AsyncIterator[tuple[PostgresLeadership, PostgresLeadership]]:
    url = settings.postgres_url.get_secret_value()
    pair = PostgresLeadership(url), PostgresLeadership(url)

    async def free() -> bool:
        return not await database.all(HOLDER)

    await soon(free)  # of the lock of the test before
    yield pair
    for contender in pair:
        await contender.release()


Pair = tuple[PostgresLeadership, PostgresLeadership]


async def test_one_of_two_leads(contenders: Pair) -> None:
    answers = await asyncio.gather(*(contender.acquire() for contender in contenders))
    assert sorted(answers) == [False, True]
    assert sorted([await contender.held() for contender in contenders]) == [False, True]


async def test_a_leader_that_asks_again_still_leads_over_one_connection(contenders: Pair, database: Database) -> None:
    one, _ = contenders
    assert await one.acquire()
    before = (await database.one(HOLDER)).pid  # type: ignore[union-attr]
    assert await one.acquire()
    assert [row.pid for row in await database.all(HOLDER)] == [before]


async def test_a_leader_that_steps_down_need_not_be_waited_for(contenders: Pair) -> None:
    one, other = contenders
    assert await one.acquire()
    assert not await other.acquire()
    await one.release()
    assert not await one.held()
    await soon(other.acquire)
    assert not await one.acquire()


async def test_a_killed_connection_passes_the_lead_on(contenders: Pair, database: Database) -> None:
    one, other = contenders
    assert await one.acquire()
    await database.all(f"SELECT pg_terminate_backend(pid) FROM ({HOLDER}) AS holder")
    await soon(other.acquire)
    assert not await one.held(), "the old leader finds out when it asks"
    assert not await one.acquire()


async def test_a_leader_that_lost_its_connection_can_be_elected_anew(contenders: Pair, database: Database) -> None:
    one, _ = contenders
    assert await one.acquire()
    await database.all(f"SELECT pg_terminate_backend(pid) FROM ({HOLDER}) AS holder")
    await soon(one.acquire)
    assert await one.held()


async def test_releasing_what_is_not_held_is_no_error(contenders: Pair) -> None:
    one, _ = contenders
    await one.release()
    await one.release()
    assert not await one.held()


async def test_without_postgres_nobody_leads(settings: Settings) -> None:
    url = make_url(settings.postgres_url.get_secret_value()).set(port=free_port())
    lost = PostgresLeadership(url.render_as_string(hide_password=False))
    assert not await lost.acquire()
    assert not await lost.held()
