"""API keys: found by their digest alone, gone when revoked or past their time, made and revoked on record."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit_world import make_entry
from holdfast.adapters.memory.audit import MemoryAudit
from holdfast.adapters.memory.keys import MemoryKeys
from holdfast.adapters.postgres.audit import PostgresAudit
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.keys import PostgresKeys
from holdfast.domain.audit import AuditAction
from holdfast.domain.errors import InvalidField
from holdfast.domain.tenancy import KEY_PREFIX, Caller, Role, key_digest
from holdfast.engine.issue_keys import IssueKeys
from holdfast.ports.audit import Audit, AuditQuery
from holdfast.ports.clock import SystemClock
from holdfast.ports.keys import ApiKey, Keys

CLOCK = SystemClock()


@dataclass
class Doorkeeper:
    """The keys of one adapter, and who asks for them."""

    keys: Keys
    audit: Audit
    actor = make_entry().actor

    @property
    def issue_keys(self) -> IssueKeys:
        return IssueKeys(self.keys, CLOCK)

    async def issue(self, name: str, *roles: Role, **changes: Any) -> tuple[ApiKey, bytes]:
        key, text = await self.issue_keys.issue(self.actor, name, "acme", roles or [Role.READ], **changes)
        return key, key_digest(text)

    async def revoke(self, key: ApiKey) -> ApiKey | None:
        return await self.issue_keys.revoke(self.actor, key, "it leaked")


@pytest.fixture(params=["memory", "postgres"])
def door(request: pytest.FixtureRequest) -> Doorkeeper:
    if request.param == "memory":
        audit = MemoryAudit(CLOCK)
        return Doorkeeper(MemoryKeys(CLOCK, audit), audit)
    database = request.getfixturevalue("database")
    return Doorkeeper(PostgresKeys(database), PostgresAudit(database))


@pytest.fixture
def name() -> str:
    return f"key-{secrets.token_hex(4)}"


PassTime = Callable[[Doorkeeper, ApiKey, timedelta], Any]


@pytest.fixture
def pass_time(request: pytest.FixtureRequest) -> PassTime:
    """Move the times of one key into the past: Postgres tells its own time."""

    async def moved(door: Doorkeeper, key: ApiKey, by: timedelta) -> None:
        if isinstance(door.keys, MemoryKeys):
            aged = door.keys.keys[key.id]
            times = {name: getattr(aged, name) for name in ("expires_at", "last_used_at")}
            door.keys.keys[key.id] = replace(aged, **{name: at and at - by for name, at in times.items()})
            return
        database: Database = request.getfixturevalue("database")
        await database.all(
            "UPDATE api_keys SET expires_at = expires_at - $2::interval, last_used_at = last_used_at - $2::interval "
            "WHERE id = $1",
            key.id,
            by,
        )

    return moved


async def test_a_key_names_its_caller(door: Doorkeeper, name: str) -> None:
    key, digest = await door.issue(name, Role.SUBMIT, Role.READ)
    assert await door.keys.caller(digest) == Caller("acme", name, frozenset({Role.SUBMIT, Role.READ}), key.id)


async def test_an_unknown_key_names_nobody(door: Doorkeeper, name: str) -> None:
    await door.issue(name)
    assert await door.keys.caller(key_digest("hf_unknown")) is None
    assert await door.keys.caller(b"") is None


async def test_a_revoked_key_names_nobody_and_stays_on_the_list(door: Doorkeeper, name: str) -> None:
    key, digest = await door.issue(name)
    kept, kept_digest = await door.issue(name)
    revoked = await door.revoke(key)
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert await door.keys.caller(digest) is None
    assert await door.keys.caller(kept_digest) is not None
    assert {it.id for it in await door.keys.all() if it.name == name} == {kept.id, key.id}
    assert [it.id for it in await door.issue_keys.named(name)] == [kept.id]
    assert await door.revoke(key) is None


async def test_a_key_past_its_time_names_nobody(door: Doorkeeper, name: str, pass_time: PassTime) -> None:
    key, digest = await door.issue(name, expires_at=datetime.now(UTC) + timedelta(days=1))
    assert await door.keys.caller(digest) is not None
    await pass_time(door, key, timedelta(days=2))
    assert await door.keys.caller(digest) is None
    assert await door.issue_keys.named(name) == []


async def test_a_key_that_would_be_past_its_time_is_not_made(door: Doorkeeper, name: str) -> None:
    with pytest.raises(InvalidField, match="expires_at"):
        await door.issue(name, expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert await door.issue_keys.named(name) == []


async def test_a_key_shows_its_beginning_and_not_its_text(door: Doorkeeper, name: str) -> None:
    _, text = await door.issue_keys.issue(door.actor, name, "acme", [Role.READ])
    [key] = await door.issue_keys.named(name)
    assert key.prefix == text[: len(KEY_PREFIX) + 6]
    assert text not in repr(key)


async def test_the_last_use_is_noted_once_a_minute(door: Doorkeeper, name: str, pass_time: PassTime) -> None:
    key, digest = await door.issue(name)
    assert key.last_used_at is None
    await door.keys.caller(digest)
    first = await door.keys.get(key.id)
    await door.keys.caller(digest)
    assert await door.keys.get(key.id) == first
    await pass_time(door, key, timedelta(minutes=2))
    await door.keys.caller(digest)
    later = await door.keys.get(key.id)
    assert first is not None and first.last_used_at is not None
    assert later is not None and later.last_used_at is not None
    assert later.last_used_at > first.last_used_at


async def test_keys_are_listed_newest_first(door: Doorkeeper, name: str) -> None:
    for number in range(3):
        await door.issue(f"{name}-{number}", Role.OPERATE)
    listed = [key for key in await door.keys.all() if key.name.startswith(name)]
    assert [key.id for key in listed] == sorted((key.id for key in listed), reverse=True)
    assert listed[0].roles == frozenset({Role.OPERATE})


async def test_keys_are_made_and_revoked_on_record(door: Doorkeeper, name: str) -> None:
    key, text = await door.issue_keys.issue(door.actor, name, "acme", [Role.READ], reason="for the shop")
    await door.revoke(key)
    await door.revoke(key)
    found = await door.audit.find(AuditQuery(target=str(key.id)))
    assert len(found) == 2
    created, revoked = sorted(found, key=lambda entry: entry.action)  # ids of one millisecond come in any order
    assert (created.action, created.reason) == (AuditAction.KEY_CREATE, "for the shop")
    assert (revoked.action, revoked.reason) == (AuditAction.KEY_REVOKE, "it leaked")
    assert created.details == {
        "name": name,
        "tenant": "acme",
        "roles": ["read"],
        "prefix": key.prefix,
        "expires_at": None,
    }
    assert text not in repr([created, revoked])
