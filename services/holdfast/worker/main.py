"""Run a worker: `holdfast worker render` or `holdfast worker webhook`.

A prefork parent touches neither the ledger nor libvips: each child starts a loop of its own after the fork. In the
other pool the process itself has the loop.
"""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
import threading
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import structlog
import uvloop
from billiard import current_process
from celery import Celery, signals
from celery.worker.state import active_requests

from holdfast import bootstrap
from holdfast.adapters.isolation.lockdown import refuse_inspection
from holdfast.engine.execute import Execute
from holdfast.ports.downstreams import Worker
from holdfast.settings import Settings
from holdfast.telemetry import metrics, tracing
from holdfast.telemetry.exposition import Exposition
from holdfast.telemetry.families import Teller
from holdfast.telemetry.prefork import enter_slot, shared_counts
from holdfast.telemetry.probe import probe
from holdfast.worker.celery_app import Pool, make_app, pool
from holdfast.worker.holding_on import holding_on
from holdfast.worker.loop import Lifeline, TaskLoop
from holdfast.worker.pool import TicketPool
from holdfast.worker.tasks import register

log = structlog.get_logger(__name__)

YOUNG = 20_000
"""Objects that are made, and not done with, between two looks for garbage."""
CHILD_CONNECTIONS = 2
"""Connections to the ledger of a process that runs one job at a time."""
CHILD_ENGINES = 2
"""Isolated processes below each of them: one that has loaded libvips, one that has loaded WeasyPrint."""


def main(name: str, settings: Settings) -> int:
    """Run the worker service until it is told to stop; return its exit code."""
    refuse_inspection()
    served = pool(name, settings)
    ready = threading.Event()
    with shared_counts() if served.forks else nullcontext():
        exposition = Exposition(f"worker-{name}", {Teller.WORKER})
        metrics.WORKER_CONCURRENCY.of().set(served.concurrency)
        with probe(settings.metrics_host, settings.metrics_port, exposition.text, ready.is_set):
            return _run(settings, served, ready)


def _run(settings: Settings, served: Pool, ready: threading.Event) -> int:
    lifeline = Lifeline()
    lifeline.open()
    loop = TaskLoop(
        lambda: _runtime(settings, served),
        lifeline,
        slots=served.concurrency,
        grace=settings.worker_grace,
        patience=settings.worker_loop_patience,
        new_loop=asyncio.new_event_loop if served.forks else uvloop.new_event_loop,
    )
    app = make_app(settings, served)
    register(app, loop, served)
    _connect_signals(settings, served, lifeline, loop, ready)
    try:
        with holding_on(bootstrap.protection(), busy=(lambda: len(active_requests)) if served.forks else loop.busy):
            return _serve(app, served, loop)
    finally:  # also when the pool gave up, of which no signal tells
        if settings.worker_ready_file:
            settings.worker_ready_file.unlink(missing_ok=True)


def _serve(app: Celery, served: Pool, loop: TaskLoop) -> int:
    """Run Celery's worker under a name of its own.

    Its control queue is exclusive and named after it: a successor with the same name would be refused for as long
    as the broker has not noticed that the worker before it is dead.
    """
    worker = app.Worker(
        hostname=f"{served.name}-{secrets.token_hex(3)}@{socket.gethostname()}",
        pool="prefork" if served.forks else TicketPool.on(loop),
        concurrency=served.concurrency,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _collect_seldom() -> None:
    """Look for garbage in cycles every so many objects, and never among what was made by now.

    A hundred attempts under way are thousands of young objects, which Python would look at several times a delivery:
    a tenth of the processor's time, to find next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


def _runtime(settings: Settings, served: Pool) -> AbstractAsyncContextManager[Execute]:
    name = bootstrap.worker_name()
    if served.forks:
        child = Worker(bootstrap.worker_name(os.getppid()), name, served.name, concurrency=1, busy=0)
        return bootstrap.worker(settings, child, connections=CHILD_CONNECTIONS, children=CHILD_ENGINES)
    me = Worker(name, name, served.name, served.concurrency, busy=0)
    return bootstrap.worker(settings, me, connections=settings.postgres_pool, children=os.cpu_count() or 1)


def _connect_signals(
    settings: Settings, served: Pool, lifeline: Lifeline, loop: TaskLoop, ready: threading.Event
) -> None:
    """Start the loop where tasks run, cut the lifeline when the worker stops, and show readiness."""
    prefork = served.forks

    def on_logging(**_: Any) -> None:
        """Keep Celery from replacing our logging set-up."""

    def start_loop() -> None:
        """Celery swallows what a signal's receiver raises, and a worker without a loop would reject every ticket."""
        metrics.CHILDREN_STARTED.of().inc()
        try:
            tracing.start(f"worker-{served.name}")
            loop.start()
        except BaseException:
            log.critical("worker_cannot_start", exc_info=True)
            os._exit(os.EX_SOFTWARE)

    def on_child(**_: Any) -> None:
        lifeline.keep_reading_end()
        enter_slot(current_process().index)
        start_loop()

    def on_init(**_: Any) -> None:
        if not prefork:
            start_loop()

    def on_ready(**_: Any) -> None:
        if not prefork:
            _collect_seldom()
        log.info("worker_ready", pool=served.name, queues=served.queues, concurrency=served.concurrency)
        ready.set()
        if settings.worker_ready_file:
            settings.worker_ready_file.touch()

    def on_stopping(**_: Any) -> None:
        ready.clear()
        if settings.worker_ready_file:
            settings.worker_ready_file.unlink(missing_ok=True)
        lifeline.cut()

    def stop_loop(**_: Any) -> None:
        loop.stop()
        tracing.stop()

    def on_stopped(**_: Any) -> None:
        if not prefork:
            stop_loop()

    keep = {"weak": False}
    signals.setup_logging.connect(on_logging, **keep)
    signals.worker_init.connect(on_init, **keep)
    signals.worker_process_init.connect(on_child, **keep)
    signals.worker_process_shutdown.connect(stop_loop, **keep)
    signals.worker_ready.connect(on_ready, **keep)
    signals.worker_shutting_down.connect(on_stopping, **keep)
    signals.worker_shutdown.connect(on_stopped, **keep)
