"""The cost of growth: the same work on a ledger of a million ended jobs and on an empty one, in turns.

Both ledgers are databases of one server, so that both meet the same machine; the million are copies of one job that
really ran, with its attempt, spread over a week of ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from campaign.world import Sandbox, query
from pydantic import SecretStr
from sqlalchemy import make_url

from harness import psql
from holdfast.client import Holdfast
from overload.phases import platform
from peers.sides import NOOP, HoldfastSide
from peers.visit import Scale, post

from .watch import Figures
from .world import World, drain

JOBS = 1_000_000
ROUNDS = 2
NAMES = {"empty": "growth_empty", "full": "growth_full"}
COLUMNS = """
SELECT attname AS name FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a'
"""
OWN = {
    "jobs": {"id": "copy.id", "idempotency_key": "'copy-' || copy.number"},
    "attempts": {"job_id": "copy.id"},
}
"""What differs from one copy to the next."""
COPIES = """
CREATE TABLE copy AS
SELECT number, uuidv7(interval '-7 days' * (1 - number::float / {jobs})) AS id FROM generate_series(1, {jobs}) AS number
"""


def growth(place: Sandbox, lasting: float) -> Figures:
    """Enqueue and settle rates on a ledger of a million jobs, as parts of those on an empty one."""
    scale = Scale(seconds=min(lasting, 5.0))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    for database in NAMES.values():
        psql(make_url(place.addresses()["HOLDFAST_POSTGRES_URL"]), f'CREATE DATABASE "{database}"')
    with _ledger(place, "full") as here:
        rows = _fill(here)
    for number in range(ROUNDS):
        for name in NAMES if number % 2 else reversed(NAMES):
            with _ledger(place, name) as here:
                posted = post(HoldfastSide(here.running), here.usage(), scale)
                settled = drain(here, posted["accepted"], {"worker-webhook": "worker-webhook"})
            found[name].append({"enqueue": posted["a second"], "noop": settled["a second"]})
    rates: Figures = {
        name: {what: round(median(each[what] for each in found[name]), 1) for what in ("enqueue", "noop")}
        for name in NAMES
    }
    ratio = {what: round(rates["full"][what] / rates["empty"][what], 3) for what in ("enqueue", "noop")}
    return rates | {"jobs": rows, "ratio": ratio, "rounds": found}


@contextmanager
def _ledger(place: Sandbox, name: str) -> Iterator[World]:
    """The platform on one of the two."""
    url = make_url(place.addresses()["HOLDFAST_POSTGRES_URL"]).set(database=NAMES[name])
    ledger = SecretStr(url.render_as_string(hide_password=False))
    with platform(place, postgres_url=ledger, shed_load=False) as running:
        yield World(place, running)


def _fill(here: World) -> int:
    """Run one job, and copy it."""
    side, ledger = HoldfastSide(here.running), here.ledger
    with side.workers(NOOP, 1), Holdfast(side.url) as client:
        client.wait(client.submit(side.kinds[NOOP], {}).id)
    query(ledger, COPIES.format(jobs=JOBS))
    for table, own in OWN.items():
        names = [row["name"] for row in query(ledger, COLUMNS, table)]
        values = ", ".join(own.get(name, f'one."{name}"') for name in names)
        listed = ", ".join(f'"{name}"' for name in names)
        copies = f"SELECT {values} FROM (SELECT * FROM {table} LIMIT 1) AS one, copy"  # noqa: S608
        query(ledger, f"INSERT INTO {table} ({listed}) {copies}")
    query(ledger, "DROP TABLE copy")
    for table in OWN:
        query(ledger, f"VACUUM ANALYZE {table}")
    rows: Any = query(ledger, "SELECT count(*) AS jobs FROM jobs")
    return int(rows[0]["jobs"])
