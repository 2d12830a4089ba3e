"""The peers, each with the settings that its documentation gives for production, and what it does not guarantee.

Every peer gets what Holdfast gets: the same services, the same uvicorn (uvloop, httptools, no access log) with as
many processes, as many worker processes, and as many deliveries at once. All acknowledge late, after the work, but
the row that is called "defaults". None keeps results. Celery's producer is called in Starlette's threads, its pool is
prefork for no-ops, as it comes, and threads for webhooks; other pools for no-ops have not been compared here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

AT_ONCE = 100
"""Deliveries that a worker process has under way."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One stack, and how its programs are run."""

    name: str
    title: str
    stack: str
    """The module in `stacks`."""
    over: str
    """`redis` or `rabbitmq`."""
    queue: str
    """Where its messages wait."""
    worker: Callable[[str, int], Sequence[str]]
    """The command line for a kind of job (`noop`, `webhook`) and a number of processes."""
    settings: str
    """What it is told, in words."""
    not_guaranteed: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    unacknowledged: str | None = None
    """Where Redis keeps the messages that a worker holds."""


def _celery(kind: str, processes: int) -> Sequence[str]:
    pool = ("threads", AT_ONCE) if kind == "webhook" else ("prefork", processes)
    options = ("--pool", pool[0], "--concurrency", str(pool[1]), "--loglevel", "WARNING")
    return ("celery", "-A", "stacks.celery_stack:celery", "worker", *options)


def _dramatiq(kind: str, processes: int) -> Sequence[str]:
    threads = AT_ONCE if kind == "webhook" else 8
    return ("dramatiq", "stacks.dramatiq_stack", "--processes", str(processes), "--threads", str(threads))


def _taskiq(_: str, processes: int) -> Sequence[str]:
    options = ("--workers", str(processes), "--max-async-tasks", str(AT_ONCE), "--log-level", "WARNING")
    return ("taskiq", "worker", "stacks.taskiq_stack:broker", *options)


TUNED = {"task_acks_late": True, "task_reject_on_worker_lost": True, "worker_prefetch_multiplier": 64}
NO_LEDGER = "a job can be looked up, listed or cancelled"
NO_KEY = "one key makes one job"
PEERS = (
    Peer(
        "celery-redis",
        "FastAPI + Celery + Redis",
        "celery_stack",
        "redis",
        "celery",
        _celery,
        "`task_acks_late`, `task_reject_on_worker_lost`, prefetch 64 a process, as its guide says for short tasks",
        (
            "an answered job survives a crash of Redis (it is written to disk once a second)",
            "a job that kills its worker again and again is stopped, and kept",
            "a job of a killed worker comes back in less than an hour (`visibility_timeout`)",
            NO_KEY,
            NO_LEDGER,
        ),
        {"PEER_CELERY": json.dumps(TUNED)},
        unacknowledged="unacked",
    ),
    Peer(
        "celery-rabbitmq",
        "FastAPI + Celery + RabbitMQ, defaults",
        "celery_stack",
        "rabbitmq",
        "celery",
        _celery,
        "none: acknowledged when the task begins, no confirms, a classic queue",
        (
            "an answered job has reached the broker (no confirms)",
            "a job survives the death of its worker",
            "a failed job is kept",
            NO_KEY,
            NO_LEDGER,
        ),
        {"PEER_CELERY": "{}"},
    ),
    Peer(
        "dramatiq",
        "FastAPI + Dramatiq + RabbitMQ",
        "dramatiq_stack",
        "rabbitmq",
        "default",
        _dramatiq,
        "its defaults: acknowledged after the work, eight threads a process, no confirms, a classic queue",
        (
            "an answered job has reached the broker (no confirms)",
            "a job that kills its worker again and again is stopped",
            "a failed job is kept for more than seven days",
            NO_KEY,
            NO_LEDGER,
        ),
        {"dramatiq_queue_prefetch": "128"},
    ),
    Peer(
        "taskiq",
        "FastAPI + taskiq + aio-pika",
        "taskiq_stack",
        "rabbitmq",
        "taskiq",
        _taskiq,
        "its defaults: confirms, a quorum queue, acknowledged after the work; `qos` 200",
        (
            "a failed job is kept (it is acknowledged like any other)",
            NO_KEY,
            NO_LEDGER,
        ),
        {"PEER_PREFETCH": "200"},
    ),
)
