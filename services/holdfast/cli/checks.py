"""What `holdfast doctor` asks, one function for each dependency. Reads only; each finding has one sentence of advice.

A question that cannot be asked because what it needs does not answer is a `skip`: the failure is told once, where
it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from holdfast import bootstrap
from holdfast.adapters.postgres import schema
from holdfast.domain.errors import LedgerUnavailable, Unavailable
from holdfast.domain.topology import WORK, work_queue
from holdfast.ports.census import LedgerCount, Observation, Place, QueueCount
from holdfast.runtimes import OperatorRuntime

PATIENCE = 8.0
"""Seconds for each question."""
LOOK_AGAIN = 5.0
"""Seconds between two samples: the age that the broker's counts may have."""
SLOW_OUTBOX, STUCK_OUTBOX = timedelta(seconds=10), timedelta(seconds=60)
"""Ages of the oldest outbox row: the relay should have sent it, and something keeps it from doing so."""


class Verdict(StrEnum):
    """How a finding is to be read."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    verdict: Verdict
    says: str
    advice: str | None = None


Answer = tuple[Verdict, str, str | None]


async def examine(runtime: OperatorRuntime) -> list[Finding]:
    """Ask everything. What does not depend on another answer is asked at once."""
    first = await asyncio.gather(
        _ask("postgres", lambda: _postgres(runtime)),
        _ask("schema", lambda: _schema(runtime)),
        _ask("rabbitmq", lambda: _rabbitmq(runtime)),
        _ask("alarms", lambda: _alarms(runtime)),
        _ask("topology", lambda: _topology(runtime)),
        _ask("redis", lambda: _redis(runtime)),
        _ask("artifacts", lambda: _artifacts(runtime)),
        _ask("steward", lambda: _steward(runtime)),
    )
    usable = all(it.verdict is Verdict.OK for it in first if it.name in {"postgres", "schema"})
    return [*first, *await _counts(runtime, usable=usable)]


async def _ask(name: str, question: Callable[[], Awaitable[Answer]]) -> Finding:
    try:
        return Finding(name, *await asyncio.wait_for(question(), PATIENCE))
    except Unavailable as error:
        return Finding(name, Verdict.FAIL, str(error), ADVICE[name])
    except TimeoutError:
        return Finding(name, Verdict.FAIL, f"no answer within {PATIENCE:g} s", ADVICE[name])


ADVICE: Mapping[str, str] = {
    "postgres": "Start PostgreSQL, or correct HOLDFAST_POSTGRES_URL: without it nothing is accepted.",
    "schema": "Run `holdfast db upgrade`.",
    "rabbitmq": "Start RabbitMQ, or correct HOLDFAST_RABBITMQ_URL: until then jobs are accepted, and wait.",
    "alarms": "Enable the management plugin, or correct HOLDFAST_RABBITMQ_MANAGEMENT_URL.",
    "topology": "Enable the management plugin, or correct HOLDFAST_RABBITMQ_MANAGEMENT_URL.",
    "redis": "Start Redis, or correct HOLDFAST_REDIS_URL: until then keys are looked up in PostgreSQL.",
    "artifacts": "Correct HOLDFAST_ARTIFACTS_URL, its permissions or credentials: jobs cannot save results.",
    "steward": "Start PostgreSQL first.",
}


async def _postgres(runtime: OperatorRuntime) -> Answer:
    return Verdict.OK, f"PostgreSQL {await runtime.census.version()}", None


async def _schema(runtime: OperatorRuntime) -> Answer:
    await runtime.core.ledger.ping()
    return Verdict.OK, f"at {schema.head()}, as this version needs it", None


async def _rabbitmq(runtime: OperatorRuntime) -> Answer:
    return Verdict.OK, f"RabbitMQ {await asyncio.to_thread(bootstrap.broker_version, runtime.core.settings)}", None


async def _alarms(runtime: OperatorRuntime) -> Answer:
    alarms = await asyncio.to_thread(runtime.management.alarms)
    if alarms:
        advice = "Give RabbitMQ memory or disk: until the alarm ends nothing is published, and the outbox fills."
        return Verdict.FAIL, f"alarms: {', '.join(alarms)}", advice
    return Verdict.OK, "no memory or disk alarm", None


async def _topology(runtime: OperatorRuntime) -> Answer:
    differences = await asyncio.to_thread(runtime.management.diff)
    if differences:
        advice = "Run `holdfast reconcile --yes` or `holdfast topology apply`; a steward does so every minute."
        return Verdict.FAIL, "; ".join(differences), advice
    return Verdict.OK, "queues and policies are as they should be", None


async def _redis(runtime: OperatorRuntime) -> Answer:
    return Verdict.OK, f"Redis {await runtime.gate.version()}", None


async def _artifacts(runtime: OperatorRuntime) -> Answer:
    await runtime.core.artifacts.ping()
    return Verdict.OK, "the store can be written", None


async def _steward(runtime: OperatorRuntime) -> Answer:
    leader = await runtime.leadership.leader()
    if leader is None:
        advice = (
            "Start an api (with HOLDFAST_STEWARD_IN_API) or `holdfast steward`: nobody promotes, relays or archives."
        )
        return Verdict.FAIL, "nobody leads", advice
    return Verdict.OK, leader, None


async def _counts(runtime: OperatorRuntime, *, usable: bool) -> list[Finding]:
    """What the census tells, when the ledger is one that this version can read."""
    try:
        if not usable:
            raise LedgerUnavailable("see above")
        seen = await asyncio.wait_for(look(runtime), PATIENCE + 3 * LOOK_AGAIN)
    except (Unavailable, TimeoutError):
        names = ("consumers", "outbox", "leases", "unaccounted", "dead letters")
        return [
            Finding(name, Verdict.SKIP, "not known, because PostgreSQL does not answer as it should") for name in names
        ]
    return [
        _consumers(seen.queues),
        _outbox(seen.ledger),
        _leases(seen.ledger),
        _unaccounted(seen),
        _letters(seen.ledger),
    ]


async def look(runtime: OperatorRuntime) -> Observation:
    """As many samples as the verdict of the conservation check needs.

    Queues that have just been declared have no counts for some seconds, so a broker that tells none is asked twice.
    """
    silent = False
    while True:
        seen = await runtime.conservation.look()
        if seen.unaccounted is not None or (silent and seen.queues is None):
            return seen
        silent = seen.queues is None
        await asyncio.sleep(LOOK_AGAIN)


def _consumers(queues: Mapping[str, QueueCount] | None) -> Finding:
    if queues is None:
        return Finding("consumers", Verdict.SKIP, "not known, because RabbitMQ does not tell what its queues hold")
    idle = [name for name in WORK if not queues[work_queue(name)].consumers]
    if not idle:
        return Finding("consumers", Verdict.OK, "every work queue has some")
    waiting = sum(queues[work_queue(name)].ready for name in idle)
    says = f"none on {', '.join(map(work_queue, idle))}, where {waiting} messages wait"
    return Finding("consumers", Verdict.WARN, says, "Start `holdfast worker render` or `holdfast worker webhook`.")


def _outbox(ledger: LedgerCount) -> Finding:
    rows, oldest = ledger.outbox_rows, ledger.outbox_oldest
    if oldest < SLOW_OUTBOX:
        return Finding("outbox", Verdict.OK, f"{rows} rows")
    verdict = Verdict.WARN if oldest < STUCK_OUTBOX else Verdict.FAIL
    says = f"{rows} rows, the oldest {oldest.total_seconds():.0f} s old"
    return Finding("outbox", verdict, says, "See rabbitmq, alarms and steward; `holdfast reconcile --yes` sends them.")


def _leases(ledger: LedgerCount) -> Finding:
    lost = ledger.places[Place.RESCUE]
    if not lost:
        return Finding("leases", Verdict.OK, f"{ledger.places[Place.LEASE]} running, none past its lease")
    says = f"{lost} running jobs are past their lease"
    return Finding(
        "leases", Verdict.WARN, says, "Their workers died; a steward rescues them, or `holdfast reconcile --yes`."
    )


def _unaccounted(seen: Observation) -> Finding:
    if seen.unaccounted is None:
        return Finding("unaccounted", Verdict.SKIP, "not known, because RabbitMQ does not tell what its queues hold")
    lost = {queue: count for queue, count in seen.unaccounted.items() if count}
    if not lost:
        return Finding("unaccounted", Verdict.OK, "every job is somewhere")
    says = ", ".join(f"{count} in {queue}" for queue, count in lost.items())
    advice = "Their tickets are lost; a steward writes new ones, or `holdfast reconcile --yes`."
    return Finding("unaccounted", Verdict.FAIL, f"jobs whose ticket is nowhere: {says}", advice)


def _letters(ledger: LedgerCount) -> Finding:
    letters = {reason: count for reason, count in ledger.open_letters.items() if count}
    if not letters:
        return Finding("dead letters", Verdict.OK, "none open")
    says = ", ".join(f"{count} {reason}" for reason, count in sorted(letters.items()))
    return Finding("dead letters", Verdict.WARN, f"open: {says}", "`dlq-tool list` shows them; replay or drop them.")
