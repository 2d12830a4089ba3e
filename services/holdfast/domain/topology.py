"""The names of the exchanges and queues, and the way a message takes through them.

    holdfast.jobs  (topic) ──#.image──► holdfast.image ──(reject, delivery limit)──► holdfast.dlx ──#──► holdfast.dead
        ▲
        └──(TTL)── holdfast.retry.2s.0 … 32s.3 ◄──2s.0.#── holdfast.retry (topic)

A routing key ends in the name of its work queue, so a message that waited in `2s.1` (key `2s.1.image`)
finds its way home without a rewritten key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from holdfast.domain.backoff import JITTER_STEPS, TIERS, BrokerWait, ttl_ms

JOBS, RETRY, DLX = "holdfast.jobs", "holdfast.retry", "holdfast.dlx"
DEAD = "holdfast.dead"
WORK = ("image", "pdf", "webhook", "custom")
"""The work queues; each is a bulkhead of its own."""
POOLS: Mapping[str, tuple[str, ...]] = {"render": ("image", "pdf"), "webhook": ("webhook", "custom")}
"""The worker services (`worker-render`, `worker-webhook`), and the work queues that each serves."""
DELIVERY_LIMIT = 5
"""Returns that count against a message in a work queue before it is dead-lettered as poison."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where to publish."""

    exchange: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class RetryQueue:
    """One retry queue: its name, the binding that fills it, and how long a message stays (milliseconds)."""

    name: str
    binding: str
    ttl_ms: int


def work_queue(name: str) -> str:
    """The queue of a bulkhead: `image` → `holdfast.image`."""
    return f"holdfast.{name}"


@cache
def to_work(queue: str) -> Route:
    """The way to a work queue, now."""
    return Route(JOBS, queue)


def to_wait(queue: str, wait: BrokerWait) -> Route:
    """The way to a work queue through a retry queue."""
    return Route(RETRY, f"{wait.tier}s.{wait.bucket}.{queue}")


def wait_of(routing_key: str) -> timedelta:
    """How long a message with this key was made to wait: 2.2 s for `2s.1.image`, nothing for `image`."""
    return WAITS.get(routing_key.rpartition(".")[0], timedelta(0))


def retry_queues() -> Iterator[RetryQueue]:
    """All retry queues: one for each tier and jitter bucket."""
    for tier in TIERS:
        for bucket in range(len(JITTER_STEPS)):
            yield RetryQueue(f"{RETRY}.{tier}s.{bucket}", f"{tier}s.{bucket}.#", ttl_ms(tier, bucket))


WAITS = {retry.binding.removesuffix(".#"): timedelta(milliseconds=retry.ttl_ms) for retry in retry_queues()}
"""The wait of each retry queue, by what a routing key begins with."""
