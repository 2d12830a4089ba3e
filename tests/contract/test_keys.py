"""API keys in PostgreSQL: found by their digest alone, gone when revoked."""

from __future__ import annotations

import secrets

import pytest

from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.keys import PostgresKeys
from holdfast.domain.tenancy import Caller, Role, key_digest, new_key
from holdfast.ports.clock import SystemClock
from ledger_world import FakeClock

CLOCK = SystemClock()


@pytest.fixture
def keys(database: Database) -> PostgresKeys:
    return PostgresKeys(database)


@pytest.fixture
def name() -> str:
    return f"key-{secrets.token_hex(4)}"


async def add(keys: PostgresKeys, name: str, *roles: Role) -> bytes:
    digest = key_digest(new_key())
    await keys.add(CLOCK.new_id(), name, "acme", roles, digest)
    return digest


async def test_a_key_names_its_caller(keys: PostgresKeys, name: str) -> None:
    digest = await add(keys, name, Role.SUBMIT, Role.READ)
    assert await keys.caller(digest) == Caller("acme", name, frozenset({Role.SUBMIT, Role.READ}))


async def test_an_unknown_key_names_nobody(keys: PostgresKeys, name: str) -> None:
    await add(keys, name, Role.READ)
    assert await keys.caller(key_digest(new_key())) is None
    assert await keys.caller(b"") is None


async def test_a_revoked_key_names_nobody_and_stays_on_the_list(keys: PostgresKeys, name: str) -> None:
    one, other = await add(keys, name, Role.READ), await add(keys, name, Role.READ)
    kept = await add(keys, name + "-kept", Role.READ)
    assert await keys.revoke(name)
    assert [await keys.caller(digest) for digest in (one, other)] == [None, None]
    assert await keys.caller(kept) is not None
    assert {key.name: key.revoked_at is None for key in await keys.all() if key.name.startswith(name)} == {
        name: False,
        name + "-kept": True,
    }


async def test_what_was_not_in_force_cannot_be_revoked(keys: PostgresKeys, name: str) -> None:
    assert not await keys.revoke(name)
    await add(keys, name, Role.READ)
    assert await keys.revoke(name)
    assert not await keys.revoke(name)


async def test_keys_are_listed_newest_first_without_their_secret(keys: PostgresKeys, name: str) -> None:
    clock = FakeClock()
    for number in range(3):
        await keys.add(clock.new_id(), f"{name}-{number}", "acme", [Role.OPERATE], key_digest(new_key()))
    listed = [key for key in await keys.all() if key.name.startswith(name)]
    assert [key.name for key in listed] == [f"{name}-{number}" for number in (2, 1, 0)]
    assert listed[0].roles == frozenset({Role.OPERATE})
    assert "hash" not in repr(listed[0])
