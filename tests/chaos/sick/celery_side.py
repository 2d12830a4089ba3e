"""Naive Celery as one side: the task of the tutorials with `acks_late`, `reject_on_worker_lost` and confirms
(`careful` in `campaign.naive_app`), on as many processes with as many slots as Holdfast has.

Threads, like Holdfast's pool: a process with eight threads holds eight webhooks, and they share one httpx client.
Submitters call `delay()` themselves, which spares it an api in front.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from campaign.audit import queue_lengths
from campaign.holdfast_side import COOLED, START
from campaign.naive import launch, own_vhost
from campaign.naive_app import make_app
from campaign.world import Fleet, Sandbox
from celery import Celery

from harness import eventually

from .figures import Figures
from .run import Run, Webhook

VHOST = "sick"


class NaiveCelery:
    """See the module."""

    name = "celery"

    def __init__(self, app: Celery, management: str) -> None:
        self._app, self._management = app, management

    def post(self, webhook: Webhook) -> None:
        """Send the message."""
        self._app.tasks["deliver"].delay(webhook.url, webhook.body, webhook.timeout)

    def left(self, run: str) -> int:
        """Messages on the broker, those that a worker holds included; of all runs."""
        return sum(queue_lengths(self._management, VHOST).values())

    def more(self, run: Run) -> Figures:
        """It keeps no record of its own."""
        return {}


@contextmanager
def celery(sandbox: Sandbox, processes: int, slots: int) -> Iterator[NaiveCelery]:
    """Its workers, up and consuming."""
    addresses = sandbox.addresses()
    broker = own_vhost(addresses, VHOST)
    folder = sandbox.root / "celery"
    folder.mkdir()
    pool = ("--pool", "threads", "--concurrency", str(slots))
    names = tuple(f"worker-{number + 1}" for number in range(processes))
    fleet = Fleet(lambda name: launch(name, folder, broker, pool, careful=True), names)
    try:
        fleet.start()
        eventually(lambda: all(member.ready_file.exists() for member in fleet.alive("worker")), within=START)
        time.sleep(COOLED)
        yield NaiveCelery(make_app(broker, careful=True), addresses["HOLDFAST_RABBITMQ_MANAGEMENT_URL"])
    finally:
        fleet.stop()
