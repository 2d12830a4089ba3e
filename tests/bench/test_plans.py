"""The statements of an attempt find their jobs by the primary key, on a ledger whose statistics say that none runs.

A partial index over what runs, or over what is queued, looks as good to the planner then, and each job would cost as
much as all of them together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from bench.ledger_side import Side
from holdfast.adapters.postgres.database import Row
from holdfast.domain.attempt import Ask, Succeeded, Ticket
from holdfast.settings import Settings
from ledger_world import LEASE, granted, make_job, settlement

KEPT = 20_000
AT_ONCE = 20


@pytest.fixture
async def side(own_settings: Settings) -> Side:
    """A ledger with a past."""
    side = Side(own_settings.postgres_url.get_secret_value())
    await side.fill(KEPT)
    return side


async def test_claims_settlements_and_what_else_an_attempt_needs_go_by_the_primary_key(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [make_job() for _ in range(AT_ONCE)]
    await side.ledger.accept(jobs)
    used: set[str] = set()
    ask = side.database.all

    async def explained(statement: str, *values: Any) -> Sequence[Row]:
        [plan] = await ask(f"EXPLAIN (FORMAT JSON) {statement}", *values)
        found = json.loads(plan[0]) if isinstance(plan[0], str) else plan[0]
        used.update(ways_into_jobs(found[0]["Plan"]))
        return await ask(statement, *values)

    monkeypatch.setattr(side.database, "all", explained)
    asks = [Ask(Ticket(job.id, 1), "w", LEASE) for job in jobs]
    claims = [granted(answer) for answer in await side.ledger.claim_all(asks)]
    assert await side.ledger.lapsed(claims) == []
    for claim in claims[:2]:
        await side.ledger.give_back(claim)
    assert await side.outbox.reissue(jobs[0].id, 1)
    assert await side.ledger.settle_all([(claim, settlement(claim, Succeeded({}))) for claim in claims[2:]])
    assert used == {"jobs_pkey"}
    await side.database.close()


def ways_into_jobs(node: dict[str, Any]) -> Iterator[str]:
    """Indexes by which a plan reads the table, or `Seq Scan`."""
    if node.get("Relation Name") == "jobs" and node["Node Type"].endswith("Scan"):
        yield node.get("Index Name", node["Node Type"])
    for child in node.get("Plans", []):
        yield from ways_into_jobs(child)
