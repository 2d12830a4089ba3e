"""The Celery application: every setting that a guarantee hangs on, with its reason.

Celery is a consumer here: it takes a ticket, hands it to the engine and acknowledges. It never retries, never
schedules, never stores a result.
"""

from __future__ import annotations

from dataclasses import dataclass

from celery import Celery
from kombu.entity import Exchange, Queue

from holdfast.adapters.rabbitmq.topology import QUORUM
from holdfast.domain.topology import JOBS, POOLS, work_queue
from holdfast.settings import Settings


@dataclass(frozen=True, slots=True)
class Pool:
    """One worker service: which queues it serves, and how."""

    name: str
    queues: tuple[str, ...]
    forks: bool
    """Whether jobs run in children (Celery's prefork pool), or all on the event loop of the process (`worker.pool`)."""
    concurrency: int
    prefetch: int
    """Messages taken per slot. One where jobs are long, so that none waits behind another while a slot is free."""


def pool(name: str, settings: Settings) -> Pool:
    """The worker service `render` or `webhook`."""
    if name == "render":
        return Pool(name, POOLS[name], True, settings.worker_concurrency_render, prefetch=1)
    return Pool(name, POOLS[name], False, settings.worker_concurrency_webhook, prefetch=1)


def make_app(settings: Settings, served: Pool) -> Celery:
    """The application of one worker service. Time limits are the engine's, and `worker.loop` watches over those."""
    app = Celery("holdfast", broker=settings.rabbitmq_url.get_secret_value(), set_as_current=True)
    app.conf.update(
        # A message is acknowledged when the ledger has the outcome, and comes back when its worker dies.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # By default a failed task is acknowledged, and never reaches the dead-letter exchange.
        task_acks_on_failure_or_timeout=False,
        # The ledger keeps results; Celery keeps none.
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        # The topology is ours: a name that is not in it is an error, not a new classic queue.
        task_queues=[_queue(name) for name in served.queues],
        task_create_missing_queues=False,
        task_default_queue=work_queue(served.queues[0]),
        task_default_queue_type="quorum",
        task_default_exchange_type="topic",
        # Never give up on the broker (the default is 100 tries), nor when it is away at start.
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        broker_heartbeat=30,
        # On a lost connection, let running attempts finish: their claims settle them, and redeliveries take over.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_prefetch_multiplier=served.prefetch,
        worker_consumer=f"holdfast.worker.consumer:{'TicketConsumer' if served.forks else 'LoopConsumer'}",
        worker_concurrency=served.concurrency,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        accept_content=["json"],
    )
    return app


def _queue(name: str) -> Queue:
    """A work queue with the arguments that `topology.declare` gives it."""
    return Queue(  # type: ignore[no-untyped-call]
        work_queue(name),
        Exchange(JOBS, type="topic", durable=True),  # type: ignore[no-untyped-call]
        routing_key=f"#.{name}",
        durable=True,
        queue_arguments=QUORUM,
    )
