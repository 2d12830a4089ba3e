"""The JSON of `GET /v1/stats` and of each message of `/ws/stats`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel

from holdfast.domain.attempt import AttemptState
from holdfast.domain.backoff import TIERS
from holdfast.domain.circuit import CircuitState
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.downstream import Forced
from holdfast.domain.job import PRIORITIES, JobState
from holdfast.domain.topology import DEAD, RETRY, WORK, work_queue
from holdfast.engine.overview import Overview
from holdfast.ports.activity import KindActivity, Percentiles
from holdfast.ports.census import Place, QueueCount
from holdfast.ports.downstreams import Known
from holdfast.settings import Settings
from holdfast.telemetry import metrics

MOST_DOWNSTREAMS = 100


class PercentilesOut(BaseModel):
    """Milliseconds."""

    p50: float
    p95: float
    p99: float


class KindStatsOut(BaseModel):
    """What happened to the jobs of one kind within the window."""

    kind: str
    attempts: dict[AttemptState, int]
    dead: int
    run_ms: PercentilesOut | None
    latency_ms: PercentilesOut | None


class ActivityOut(BaseModel):
    """What happened within the window."""

    window_seconds: float
    accepted: int
    kinds: list[KindStatsOut]


class PriorityOut(BaseModel):
    """Jobs that are queued and not begun, of one priority."""

    priority: int
    name: str | None
    jobs: int
    oldest_seconds: float


class MessagesOut(BaseModel):
    """What RabbitMQ says of a queue; some seconds old."""

    ready: int
    unacked: int
    consumers: int


class QueueStatsOut(BaseModel):
    """A work queue: the ledger's jobs by priority, and the broker's messages (null while it does not tell)."""

    name: str
    priorities: list[PriorityOut]
    messages: MessagesOut | None


class RetryStatsOut(BaseModel):
    """The retry queues of one tier together."""

    tier_seconds: int
    ready: int


class OutboxStatsOut(BaseModel):
    """Tickets that are committed and not confirmed."""

    rows: int
    oldest_seconds: float


class WorkerStatsOut(BaseModel):
    """A worker process that is alive."""

    instance: str
    process: str
    pool: str
    concurrency: int
    busy: int


class DownstreamStatsOut(BaseModel):
    """A destination of which anything is known; `/v1/breakers` tells more."""

    name: str
    state: CircuitState
    calls: int
    failure_rate: float
    slow_rate: float
    open_until: datetime | None
    trips: int
    forced: Forced | None
    flagged: str | None
    limit: int | None
    in_flight: int
    per_second: float | None
    paused_until: datetime | None


class AdmissionOut(BaseModel):
    """The rate limits in force, and what this api process has refused since it started, by reason."""

    key_limit: str
    tenant_limit: str
    refused: dict[str, int]


class StatsOut(BaseModel):
    """The platform at one moment."""

    at: datetime
    jobs: dict[JobState, int]
    places: dict[Place, int]
    activity: ActivityOut
    queues: list[QueueStatsOut]
    retries: list[RetryStatsOut] | None
    dead_queue: int | None
    dead_letters: dict[DeadReason, int]
    outbox: OutboxStatsOut
    workers: list[WorkerStatsOut] | None
    downstreams: list[DownstreamStatsOut] | None
    """Those in trouble first, at most a hundred."""
    admission: AdmissionOut
    rabbitmq_ui: str
    """The queues of our virtual host in RabbitMQ's management UI; without credentials."""


def stats_out(seen: Overview, settings: Settings) -> dict[str, Any]:
    """An overview's answer."""
    queues = seen.queues
    return {
        "at": seen.at,
        "jobs": _by_name(seen.ledger.states),
        "places": _by_name(seen.ledger.places),
        "activity": {
            "window_seconds": seen.activity.window.total_seconds(),
            "accepted": seen.activity.accepted,
            "kinds": [_kind(kind) for kind in seen.activity.kinds],
        },
        "queues": [_queue(name, seen) for name in WORK],
        "retries": None if queues is None else [_tier(tier, queues) for tier in TIERS],
        "dead_queue": None if queues is None else queues[DEAD].ready + queues[DEAD].unacked,
        "dead_letters": _by_name(seen.ledger.open_letters),
        "outbox": {
            "rows": seen.ledger.outbox_rows,
            "oldest_seconds": round(seen.ledger.outbox_oldest.total_seconds(), 3),
        },
        "workers": None if seen.workers is None else list(map(asdict, seen.workers)),
        "downstreams": None if seen.downstreams is None else _troubled_first(seen.downstreams),
        "admission": {
            "key_limit": str(settings.rate_limit_key),
            "tenant_limit": str(settings.rate_limit_tenant),
            "refused": _refused(),
        },
        "rabbitmq_ui": _queues_page(settings),
    }


def _refused() -> dict[str, int]:
    counts = Counter[str]()
    for family in metrics.REFUSED.metric.collect():
        for sample in family.samples:
            if sample.name.endswith("_total"):
                counts[sample.labels["reason"]] += int(sample.value)
    return dict(counts)


def _queues_page(settings: Settings) -> str:
    """Of the virtual host that the AMQP URL names; whoever opens it signs in there."""
    management = urlsplit(settings.rabbitmq_management_url.get_secret_value())
    vhost = unquote(urlsplit(settings.rabbitmq_url.get_secret_value()).path[1:]) or "/"
    return f"{management.scheme}://{management.netloc.rpartition('@')[2]}/#/queues?vhost={quote(vhost, safe='')}"


def _by_name(counts: Mapping[Any, int]) -> dict[str, int]:
    """As JSON: orjson takes no enumeration as a key."""
    return {name.value: count for name, count in counts.items()}


def _kind(seen: KindActivity) -> dict[str, Any]:
    return {
        "kind": seen.kind,
        "attempts": _by_name(seen.attempts),
        "dead": seen.dead,
        "run_ms": _milliseconds(seen.run),
        "latency_ms": _milliseconds(seen.latency),
    }


def _milliseconds(seen: Percentiles | None) -> dict[str, float] | None:
    if seen is None:
        return None
    return {"p50": round(seen.p50 * 1000, 1), "p95": round(seen.p95 * 1000, 1), "p99": round(seen.p99 * 1000, 1)}


_NAMES = {number: name for name, number in PRIORITIES.items()}


def _queue(name: str, seen: Overview) -> dict[str, Any]:
    lines = [line for line in seen.waiting if line.queue == name]
    return {
        "name": name,
        "priorities": [
            {
                "priority": line.priority,
                "name": _NAMES.get(line.priority),
                "jobs": line.jobs,
                "oldest_seconds": round(line.oldest.total_seconds(), 3),
            }
            for line in lines
        ],
        "messages": None if seen.queues is None else _messages(seen.queues[work_queue(name)]),
    }


def _messages(count: QueueCount) -> dict[str, int]:
    return {"ready": count.ready, "unacked": count.unacked, "consumers": count.consumers}


def _troubled_first(known: Sequence[Known]) -> list[dict[str, Any]]:
    def well(one: Known) -> bool:
        return one.state is CircuitState.CLOSED and not (one.override or one.flagged or one.limit or one.paused_until)

    return [_downstream(one) for one in sorted(known, key=lambda one: (well(one), one.name))[:MOST_DOWNSTREAMS]]


def _downstream(known: Known) -> dict[str, Any]:
    return {
        "name": known.name,
        "state": known.state,
        "calls": known.calls,
        "failure_rate": round(known.failure_rate, 4),
        "slow_rate": round(known.slow_rate, 4),
        "open_until": _instant(known.open_until),
        "trips": known.trips,
        "forced": known.override and known.override.state,
        "flagged": known.flagged,
        "limit": known.limit,
        "in_flight": known.in_flight,
        "per_second": known.per_second,
        "paused_until": _instant(known.paused_until),
    }


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _tier(tier: int, queues: Mapping[str, QueueCount]) -> dict[str, int]:
    names = [name for name in queues if name.startswith(f"{RETRY}.{tier}s.")]
    return {"tier_seconds": tier, "ready": sum(queues[name].ready for name in names)}
