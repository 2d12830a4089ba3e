"""The archive of the dead letters: filed once, found again, replayed with a fresh budget, dropped with a name."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from ledger_stores import Stores

from holdfast.domain.attempt import Bury, Refusal, Retry
from holdfast.domain.dead_letter import DeadLetter, DeadLetterGroup, DeadReason
from holdfast.domain.job import Job, JobState
from holdfast.domain.topology import to_work
from holdfast.ports.dead_letters import DeadLetterQuery
from ledger_world import BROKEN, FATAL, LEASE, granted, make_letter, settlement, ticket_of

DAY = timedelta(days=1)
NOW = datetime.now(UTC)


async def find(stores: Stores, **query: Any) -> list[DeadLetter]:
    return await stores.dead_letters.find(DeadLetterQuery(**{"tenant": stores.tenant, "limit": 1000} | query))


def letter_for(stores: Stores, **changes: Any) -> DeadLetter:
    return make_letter(**{"tenant": stores.tenant, "job_id": uuid4(), "attempt": 1} | changes)


# -- archive and find ---------------------------------------------------------------------------------------------


async def test_a_letter_is_kept_as_it_was_given(stores: Stores) -> None:
    letter = letter_for(stores, headers={"x-death": [{"count": 2}], "nul": "\x00"}, body=bytes(range(256)), kind="k")
    await stores.dead_letters.archive([letter])
    assert await stores.dead_letters.get(letter.id) == letter
    assert await find(stores) == [letter]


async def test_a_second_letter_of_an_attempt_is_dropped(stores: Stores) -> None:
    first = letter_for(stores)
    again = letter_for(stores, job_id=first.job_id, error="Another")
    await stores.dead_letters.archive([first])
    await stores.dead_letters.archive([again])
    assert await find(stores) == [first]
    assert await stores.dead_letters.get(again.id) is None


async def test_a_second_letter_of_an_attempt_within_a_batch_is_dropped(stores: Stores) -> None:
    first = letter_for(stores)
    await stores.dead_letters.archive([first, letter_for(stores, job_id=first.job_id)])
    assert await find(stores) == [first]


async def test_each_attempt_has_a_letter_of_its_own(stores: Stores) -> None:
    first = letter_for(stores)
    second = letter_for(stores, job_id=first.job_id, attempt=2)
    await stores.dead_letters.archive([first, second])
    assert await find(stores) == [second, first]


@pytest.mark.parametrize("job_id", [None, uuid4()], ids=["no job", "no attempt"])
async def test_messages_that_name_no_attempt_are_all_kept(stores: Stores, job_id: Any) -> None:
    letters = [letter_for(stores, job_id=job_id, attempt=None) for _ in range(2)]
    await stores.dead_letters.archive(letters)
    assert await find(stores) == letters[::-1]


async def test_archiving_the_same_letters_again_changes_nothing(stores: Stores) -> None:
    letters = [letter_for(stores), letter_for(stores, job_id=None, attempt=None)]
    await stores.dead_letters.archive(letters)
    await stores.dead_letters.drop(letters[1].id, "ann", "noise")
    before = await find(stores, settled=True)
    await stores.dead_letters.archive(letters)
    assert await find(stores, settled=True) == before


async def test_a_letter_may_quote_any_input(stores: Stores) -> None:
    """One letter that cannot be kept would hold up every letter behind it."""
    letter = letter_for(stores, message="the name 'a\x00b\ud800' is odd", error="Odd\x00")
    await stores.dead_letters.archive([letter])
    [found] = await find(stores)
    assert found.id == letter.id
    assert found.message.endswith("is odd")


async def test_letters_come_newest_first_and_by_pages(stores: Stores) -> None:
    letters = [letter_for(stores) for _ in range(5)]
    await stores.dead_letters.archive(letters)
    expected = sorted((letter.id for letter in letters), reverse=True)
    seen: list[object] = []
    before = None
    while page := await find(stores, before=before, limit=2):
        seen += [letter.id for letter in page]
        before = page[-1].id
    assert seen == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"plain", "poisoned", "old"}),
        ({"settled": True}, {"plain", "poisoned", "old", "dropped"}),
        ({"reason": DeadReason.POISONED}, {"poisoned"}),
        ({"kind": "test.plain"}, {"plain"}),
        ({"error": "NOTANIMAGE"}, {"plain", "old"}),
        ({"error": "crashed its"}, {"poisoned"}),
        ({"error": "100%"}, {"old"}),
        ({"error": "_"}, set()),
        ({"since": NOW - DAY}, {"plain", "poisoned"}),
        ({"until": NOW - DAY}, {"old"}),
        ({"since": NOW - 3 * DAY, "until": NOW - DAY}, {"old"}),
        ({"tenant": "nobody"}, set()),
    ],
)
async def test_letters_are_filtered(stores: Stores, query: dict[str, Any], expected: set[str]) -> None:
    letters = {
        "plain": letter_for(stores, kind="test.plain"),
        "poisoned": letter_for(stores, reason=DeadReason.POISONED, error="Poisoned", message="crashed ITS worker"),
        "old": letter_for(stores, died_at=NOW - 2 * DAY, message="at 100% of the limit"),
        "dropped": letter_for(stores, error="Dropped", message="away with it"),
    }
    await stores.dead_letters.archive(list(letters.values()))
    await stores.dead_letters.drop(letters["dropped"].id, "ann", "noise")
    names = {letter.id: name for name, letter in letters.items()}
    assert {names[letter.id] for letter in await find(stores, **query)} == expected


async def test_an_operator_finds_the_letters_of_all_tenants(stores: Stores) -> None:
    letter = letter_for(stores)
    await stores.dead_letters.archive([letter])
    assert letter in await stores.dead_letters.find(DeadLetterQuery(limit=100_000))


async def test_letters_come_oldest_first_when_asked(stores: Stores) -> None:
    letters = [letter_for(stores) for _ in range(5)]
    await stores.dead_letters.archive(letters[::-1])
    ids = [letter.id for letter in await find(stores, oldest_first=True, limit=3)]
    assert ids == sorted(letter.id for letter in letters)[:3]


async def test_the_letters_of_a_group_are_found_by_its_fingerprint(stores: Stores) -> None:
    same = [letter_for(stores, message=f"the receiver answered {status}") for status in (500, 502)]
    await stores.dead_letters.archive([*same, letter_for(stores)])
    assert await find(stores, fingerprint=same[0].fingerprint) == same[::-1]
    assert await find(stores, fingerprint="0" * 16) == []


async def test_a_letter_that_quotes_any_input_is_found_by_the_fingerprint_that_it_shows(stores: Stores) -> None:
    await stores.dead_letters.archive([letter_for(stores, message="bad \x00 or \ud800", error="Odd\x00")])
    [found] = await find(stores)
    [group] = await grouped(stores)
    assert found.fingerprint == group.fingerprint
    assert await find(stores, fingerprint=found.fingerprint) == [found]


async def test_letters_that_can_be_replayed_are_those_whose_job_is_dead_in_that_attempt(stores: Stores) -> None:
    _, dead = await stores.died()
    again, first = await stores.died()
    _, dropped = await stores.died()
    await stores.dead_letters.drop(dropped.id, "ann", "noise")
    await stores.dead_letters.archive([letter_for(stores), letter_for(stores, job_id=None, attempt=None)])
    assert {letter.id for letter in await find(stores, replayable=True)} == {dead.id, first.id}
    await stores.dead_letters.replay(first.id, None)
    assert await find(stores, replayable=True) == [dead]
    claim = await stores.claimed(await stores.now(again))
    await stores.ledger.settle(claim, settlement(claim, Bury(FATAL)))
    second = make_letter(await stores.now(again))
    await stores.dead_letters.archive([second])
    assert await find(stores, replayable=True, oldest_first=True) == [dead, second]


async def test_the_count_is_of_all_that_match_whatever_the_limit(stores: Stores) -> None:
    await stores.dead_letters.archive([letter_for(stores, kind="test.counted") for _ in range(5)])
    await stores.died()

    async def count(**query: Any) -> int:
        return await stores.dead_letters.count(DeadLetterQuery(tenant=stores.tenant, limit=2, **query))

    assert (await count(), await count(kind="test.counted"), await count(replayable=True)) == (6, 5, 1)
    assert await count(reason=DeadReason.EXPIRED) == 0


# -- groups -------------------------------------------------------------------------------------------------------


async def grouped(stores: Stores, **query: Any) -> list[DeadLetterGroup]:
    return await stores.dead_letters.groups(DeadLetterQuery(**{"tenant": stores.tenant} | query))


EQUAL = [
    "https://a.example/hook answered 500 after 31 ms to job 01890a5d-ac96-774b-bcce-b302099a8057 ('red')",
    "http://b.example:8080/x?y=1 answered 502 after 7 ms to job 01890a5d-ffff-774b-bcce-b302099a0000 ('blue')",
    'https://c.example/ answered 599 after 12345 ms to job 01890A5D-AC96-774B-BCCE-B302099A8057 ("green")',
]


async def test_failures_that_differ_in_names_and_numbers_are_one_group(stores: Stores) -> None:
    times = [NOW - 2 * DAY, NOW - 3 * DAY, NOW - DAY]
    letters = [letter_for(stores, message=m, died_at=t) for m, t in zip(EQUAL, times, strict=True)]
    await stores.dead_letters.archive(letters)
    [group] = await grouped(stores)
    assert group == DeadLetterGroup(
        letters[0].fingerprint,
        letters[2].kind,
        letters[2].reason,
        letters[2].error,
        letters[2].message,
        3,
        first_seen=times[1],
        last_seen=times[2],
    )


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "test.other"},
        {"reason": DeadReason.EXHAUSTED},
        {"error": "NotAPdf"},
        {"message": "the source is no picture"},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_failures_that_differ_in_kind_reason_error_or_words_are_not(
    stores: Stores, other: dict[str, Any]
) -> None:
    await stores.dead_letters.archive([letter_for(stores), letter_for(stores, **other)])
    assert [group.count for group in await grouped(stores)] == [1, 1]


async def test_the_most_frequent_group_comes_first_up_to_the_limit(stores: Stores) -> None:
    letters = [letter_for(stores, error=error) for error in ("A", "B", "C", "B", "C", "B", "D")]
    await stores.dead_letters.archive(letters)
    groups = await grouped(stores)
    assert [(group.error, group.count) for group in groups[:2]] == [("B", 3), ("C", 2)]
    rare = [group.fingerprint for group in groups[2:]]
    assert rare == sorted(rare), "groups of one size keep their order from call to call"
    assert await grouped(stores, limit=2) == groups[:2]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"A": 2, "B": 1}),
        ({"settled": True}, {"A": 2, "B": 1, "C": 1}),
        ({"kind": "test.b"}, {"B": 1}),
        ({"since": NOW - DAY}, {"A": 1, "B": 1}),
        ({"until": NOW - DAY}, {"A": 1}),
        ({"error": "a"}, {"A": 2, "B": 1}),
        ({"replayable": True}, {}),
        ({"tenant": "nobody"}, {}),
    ],
)
async def test_groups_are_of_the_letters_that_match(
    stores: Stores, query: dict[str, Any], expected: dict[str, int]
) -> None:
    dropped = letter_for(stores, error="C")
    letters = [letter_for(stores, error="A"), letter_for(stores, error="A", died_at=NOW - 2 * DAY)]
    await stores.dead_letters.archive([*letters, letter_for(stores, error="B", kind="test.b"), dropped])
    await stores.dead_letters.drop(dropped.id, "ann", "noise")
    assert {group.error: group.count for group in await grouped(stores, **query)} == expected


async def test_a_group_of_messages_that_are_nobodys_has_no_kind(stores: Stores) -> None:
    strays = [letter_for(stores, job_id=None, attempt=None, reason=DeadReason.UNPARSEABLE) for _ in range(2)]
    await stores.dead_letters.archive(strays)
    [group] = await grouped(stores)
    assert (group.kind, group.reason, group.count) == (None, DeadReason.UNPARSEABLE, 2)


# -- replay -------------------------------------------------------------------------------------------------------


async def test_a_replay_queues_the_same_job_with_a_fresh_budget(stores: Stores) -> None:
    job, letter = await stores.died(key="order-1", priority=12, deadline=NOW + DAY)
    ticket = await stores.replayed(letter, None)
    assert (ticket.job_id, ticket.attempt, ticket.idempotency_key) == (job.id, 2, "order-1")
    assert (ticket.route, ticket.priority) == (to_work(job.queue), 12)
    assert ticket in await stores.rows(job), "the row is committed"
    now = await stores.now(job)
    assert (now.state, now.attempt, now.spent_before) == (JobState.QUEUED, 2, 1)
    assert (now.failure, now.finished_at, now.deadline) == (None, None, None)
    assert (now.payload, now.idempotency_key, now.created_at) == (job.payload, "order-1", job.created_at)


async def test_a_replay_may_lower_the_priority(stores: Stores) -> None:
    job, letter = await stores.died(priority=12)
    ticket = await stores.replayed(letter, 0)
    assert (ticket.priority, (await stores.now(job)).priority) == (0, 0)


async def test_the_tickets_from_before_a_replay_stay_void(stores: Stores) -> None:
    job, letter = await stores.died()
    await stores.dead_letters.replay(letter.id, None)
    assert await stores.ledger.claim(ticket_of(job, redelivered=True), "w", LEASE) is Refusal.SETTLED
    assert granted(await stores.ledger.claim(ticket_of(await stores.now(job)), "w", LEASE)).attempt == 2


async def test_a_letter_is_replayed_once(stores: Stores) -> None:
    job, letter = await stores.died()
    await stores.dead_letters.replay(letter.id, None)
    before = await stores.now(job)
    assert await stores.dead_letters.replay(letter.id, None) is None
    assert await stores.dead_letters.drop(letter.id, "ann", "too late") is None
    assert await stores.now(job) == before
    replayed = await stores.dead_letters.get(letter.id)
    assert replayed is not None
    assert replayed.replayed_at is not None
    assert await find(stores) == []
    assert [found.id for found in await find(stores, settled=True)] == [letter.id]


async def test_of_many_replays_at_once_one_wins(stores: Stores) -> None:
    job, letter = await stores.died()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(stores.dead_letters.replay(letter.id, None) for _ in range(8)))
    assert len([answer for answer in answers if answer is not None]) == 1
    assert (await stores.now(job)).attempt == 2


async def test_a_job_that_dies_again_can_be_replayed_again(stores: Stores) -> None:
    job, letter = await stores.died()
    await stores.dead_letters.replay(letter.id, None)
    claim = await stores.claimed(await stores.now(job))
    await stores.ledger.settle(claim, settlement(claim, Bury(FATAL)))
    second = make_letter(await stores.now(job))
    await stores.dead_letters.archive([second])
    ticket = await stores.replayed(second, None)
    now = await stores.now(job)
    assert (ticket.attempt, now.attempt, now.spent_before) == (3, 3, 2)


async def test_a_letter_whose_job_is_not_dead_is_not_replayed(stores: Stores) -> None:
    async def refused(job: Job, **changes: Any) -> None:
        letter = letter_for(stores, **{"job_id": job.id, "attempt": job.attempt} | changes)
        await stores.dead_letters.archive([letter])
        before = await stores.ledger.any_job(job.id)
        assert await stores.dead_letters.replay(letter.id, None) is None
        assert await stores.ledger.any_job(job.id) == before
        kept = await stores.dead_letters.get(letter.id)
        assert kept is not None
        assert kept.replayed_at is None

    await refused((await stores.settled(Retry(BROKEN))).job)
    dead, _ = await stores.died()
    await refused(dead, attempt=9)
    await refused(stores.new())


async def test_an_unknown_letter_and_one_without_a_job_are_not_replayed(stores: Stores) -> None:
    stray = letter_for(stores, job_id=None, attempt=None)
    await stores.dead_letters.archive([stray])
    assert await stores.dead_letters.replay(stray.id, None) is None
    assert await stores.dead_letters.replay(uuid4(), None) is None


# -- drop ---------------------------------------------------------------------------------------------------------


async def test_a_dropped_letter_stays_with_who_and_why(stores: Stores) -> None:
    job, letter = await stores.died()
    dropped = await stores.dead_letters.drop(letter.id, "ann", "a test order")
    assert dropped is not None
    assert dropped == await stores.dead_letters.get(letter.id)
    assert (dropped.dropped_by, dropped.drop_reason) == ("ann", "a test order")
    assert dropped.dropped_at is not None
    assert await find(stores) == []
    assert await stores.dead_letters.replay(letter.id, None) is None
    assert (await stores.now(job)).state is JobState.DEAD


async def test_a_letter_is_dropped_once_and_an_unknown_one_never(stores: Stores) -> None:
    _, letter = await stores.died()
    await stores.dead_letters.drop(letter.id, "ann", "first")
    assert await stores.dead_letters.drop(letter.id, "bob", "second") is None
    kept = await stores.dead_letters.get(letter.id)
    assert kept is not None
    assert kept.dropped_by == "ann"
    assert await stores.dead_letters.drop(uuid4(), "ann", "unknown") is None
