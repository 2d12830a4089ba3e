"""The audit trail: an action inside the ledger and its entry are committed together, another has a begin and an end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ledger_stores import Stores

from audit_world import CLOCK, make_entry
from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.adapters.postgres.audit import PostgresAudit
from holdfast.adapters.postgres.database import Database
from holdfast.domain.audit import Actor, AuditAction, AuditEntry, AuditOutcome
from holdfast.domain.tenancy import Role
from holdfast.ports.audit import Audit, AuditQuery


@pytest.fixture
def audit(stores: Stores, database: Database) -> Audit:
    return stores.ledger.audit if isinstance(stores.ledger, MemoryLedger) else PostgresAudit(database)


async def of(audit: Audit, entry: AuditEntry, **query: Any) -> list[AuditEntry]:
    """The entries of the same actor."""
    return await audit.find(AuditQuery(actor=entry.actor.name, **query))


# -- entries ------------------------------------------------------------------------------------------------------


async def test_an_entry_is_kept_as_it_was_given_with_the_time_of_the_store(audit: Audit) -> None:
    entry = make_entry(details={"filter": {"kind": "k"}, "matched": 3, "none": None, "list": [1, "two"]})
    await audit.record(entry)
    [found] = await of(audit, entry)
    assert found.at is not None
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert replace(found, at=None) == entry


async def test_an_entry_without_a_key_an_address_or_a_reason_is_kept(audit: Audit) -> None:
    entry = make_entry(actor=Actor.on_server(f"root-{CLOCK.new_id()}", "db1"), reason=None, details={})
    await audit.record(entry)
    [found] = await of(audit, entry)
    assert replace(found, at=None) == entry


async def test_an_entry_may_quote_any_input(audit: Audit) -> None:
    entry = make_entry(reason="a\x00b \ud800", details={"filter\x00": {"error": "x\x00\ud800"}})
    await audit.record(entry)
    [found] = await of(audit, entry)
    assert found.id == entry.id


async def test_recording_an_entry_again_changes_nothing(audit: Audit) -> None:
    entry = make_entry()
    await audit.record(entry)
    await audit.record(replace(entry, reason="another"))
    [found] = await of(audit, entry)
    assert found.reason == entry.reason


async def test_what_has_begun_ends_once(audit: Audit) -> None:
    entry = make_entry(outcome=AuditOutcome.BEGUN)
    await audit.record(entry)
    await audit.end(entry.id, AuditOutcome.FAILED, {"replayed": 3})
    await audit.end(entry.id, AuditOutcome.DONE, {"replayed": 4})
    [found] = await of(audit, entry)
    assert (found.outcome, found.details) == (AuditOutcome.FAILED, {"replayed": 3})


async def test_an_entry_that_nobody_began_cannot_be_ended(audit: Audit) -> None:
    entry = make_entry()
    await audit.end(entry.id, AuditOutcome.DONE, {})
    assert await of(audit, entry) == []


async def test_entries_come_newest_first_and_by_pages(audit: Audit) -> None:
    actor = make_entry().actor
    entries = [make_entry(actor=actor) for _ in range(5)]
    for entry in entries:
        await audit.record(entry)
    expected = sorted((entry.id for entry in entries), reverse=True)
    seen: list[object] = []
    before = None
    while page := await audit.find(AuditQuery(actor=actor.name, before=before, limit=2)):
        seen += [entry.id for entry in page]
        before = page[-1].id
    assert seen == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"replay", "drop"}),
        ({"action": AuditAction.DEAD_LETTER_DROP}, {"drop"}),
        ({"outcome": AuditOutcome.BEGUN}, {"drop"}),
        ({"target": "letter-1"}, {"replay"}),
        ({"tenant": "acme"}, {"replay", "drop"}),
        ({"tenant": "nobody"}, set()),
        ({"since": datetime.now(UTC) - timedelta(days=1)}, {"replay", "drop"}),
        ({"until": datetime.now(UTC) - timedelta(days=1)}, set()),
        ({"since": datetime.now(UTC) + timedelta(days=1)}, set()),
    ],
)
async def test_entries_are_filtered(audit: Audit, query: dict[str, Any], expected: set[str]) -> None:
    replay = make_entry(target="letter-1")
    drop = make_entry(AuditAction.DEAD_LETTER_DROP, actor=replay.actor, outcome=AuditOutcome.BEGUN)
    for entry in (replay, drop):
        await audit.record(entry)
    names = {replay.id: "replay", drop.id: "drop"}
    assert {names[entry.id] for entry in await of(audit, replay, **query)} == expected


# -- with the action ----------------------------------------------------------------------------------------------


async def test_a_replay_commits_its_entry(stores: Stores, audit: Audit) -> None:
    _, letter = await stores.died()
    entry = make_entry(target=str(letter.id))
    assert await stores.dead_letters.replay(letter.id, None, entry) is not None
    [found] = await of(audit, entry)
    assert (found.target, found.outcome) == (str(letter.id), AuditOutcome.DONE)


async def test_a_replay_that_does_not_take_place_leaves_no_entry(stores: Stores, audit: Audit) -> None:
    _, letter = await stores.died()
    await stores.dead_letters.replay(letter.id, None)
    entry = make_entry()
    assert await stores.dead_letters.replay(letter.id, None, entry) is None
    assert await of(audit, entry) == []


async def test_a_drop_commits_its_entry_once(stores: Stores, audit: Audit) -> None:
    _, letter = await stores.died()
    entry = make_entry(AuditAction.DEAD_LETTER_DROP)
    assert await stores.dead_letters.drop(letter.id, entry.actor.name, "noise", entry) is not None
    again = make_entry(AuditAction.DEAD_LETTER_DROP, actor=entry.actor)
    assert await stores.dead_letters.drop(letter.id, entry.actor.name, "noise", again) is None
    assert [found.id for found in await of(audit, entry)] == [entry.id]


async def test_a_cancellation_commits_its_entry_once(stores: Stores, audit: Audit) -> None:
    job = await stores.accepted()
    entry = make_entry(AuditAction.JOB_CANCEL)
    again = make_entry(AuditAction.JOB_CANCEL, actor=entry.actor)
    for each in (entry, again):
        assert await stores.ledger.cancel(stores.tenant, job.id, each) is not None
    assert [found.id for found in await of(audit, entry)] == [entry.id]


async def test_an_operator_cancels_a_job_of_whatever_tenant(stores: Stores) -> None:
    job = await stores.accepted()
    assert await stores.ledger.cancel(stores.tenant + "-other", job.id) is None
    cancelled = await stores.ledger.cancel(None, job.id, make_entry(AuditAction.JOB_CANCEL))
    assert cancelled is not None
    assert cancelled.state == "cancelled"


async def test_an_action_whose_entry_cannot_be_written_does_not_take_place(database: Database) -> None:
    """One statement, hence one transaction: there is no crash point between the two."""
    stores = Stores.in_postgres(database)
    _, letter = await stores.died()
    impossible = make_entry(outcome="neither")  # the table's CHECK refuses it
    with pytest.raises(Exception, match="audit_outcome_check"):
        await stores.dead_letters.replay(letter.id, None, impossible)
    kept = await stores.dead_letters.get(letter.id)
    assert kept is not None
    assert kept.replayed_at is None
    assert await stores.dead_letters.replay(letter.id, None, make_entry()) is not None


async def test_the_role_of_an_actor_is_the_one_that_allowed_the_action(audit: Audit) -> None:
    entry = make_entry(actor=replace(make_entry().actor, role=Role.ADMIN))
    await audit.record(entry)
    [found] = await of(audit, entry)
    assert found.actor.role is Role.ADMIN
