"""Celery as tutorials set it up, through the same orders, faults, rate and observer.

Only the faults that there is something for to hit: it has no api, ledger or steward. Submitters call `delay()`
directly, which spares it whatever an api in front would lose. Two workers with eight processes each, restarted by
the same supervisor.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
from celery import Celery

from harness import Member, eventually

from .audit import TAKEN, queue_lengths, redelivered
from .faults import Fault, Injector
from .holdfast_side import COOLED, START, Say, Scale, lanes
from .naive_app import make_app
from .orders import Order, Places, Planner
from .pace import Pace
from .world import Fleet, Sandbox, observing

NAMES = ("worker-1", "worker-2")
PROCESSES_EACH = 8
HITS = (Fault.CHILD_KILL, Fault.WORKER_KILL, Fault.WORKER_STOP, Fault.BROKER_KILL, Fault.BROKER_RESTART)
QUIET = 15.0
"""Seconds without an arrival and with an empty queue after which nothing is expected any more: longer than the
longest backoff of two failures."""


@dataclass(slots=True)
class Submitting:
    """Calls `delay()` at a steady rate."""

    app: Celery
    url: str
    orders: Sequence[Order]
    rate: float
    accepted: set[int] = field(default_factory=set)
    """Orders for which `delay()` returned."""
    refused: dict[int, str] = field(default_factory=dict)
    """Orders for which it raised, and what."""
    _pace: Pace[Order] = field(init=False)

    def start(self) -> None:
        """Begin."""
        self._pace = Pace(self.orders, self.rate, self._submit)
        self._pace.start()

    @property
    def busy(self) -> bool:
        """Whether orders are left."""
        return self._pace.busy

    def _submit(self, order: Order) -> None:
        try:
            self.app.tasks["deliver"].delay(self.url, order.payload["body"])
            self.accepted.add(order.number)
        except Exception as error:  # whatever it raises, the caller has no job
            self.refused[order.number] = type(error).__name__


def naive(sandbox: Sandbox, scale: Scale, say: Say, *, careful: bool) -> dict[str, Any]:
    """Run the orders and count what was lost and what came twice."""
    vhost = "careful" if careful else "defaults"
    folder = sandbox.root / vhost
    folder.mkdir()
    addresses = sandbox.addresses()
    management = addresses["HOLDFAST_RABBITMQ_MANAGEMENT_URL"]
    broker = own_vhost(addresses, vhost)
    fleet = Fleet(
        lambda name: launch(name, folder, broker, ("--concurrency", str(PROCESSES_EACH)), careful=careful), NAMES
    )
    with observing(folder) as observer:
        planner = Planner(scale.seed, Places(observer, ""))
        orders = [planner.webhook(number) for number in range(scale.orders)]
        submitting = Submitting(make_app(broker, careful=careful), observer, orders, scale.rate)
        injector = Injector(sandbox, fleet, None, HITS)
        try:
            fleet.start()
            eventually(lambda: all(member.ready_file.exists() for member in fleet.alive("worker")), within=START)
            time.sleep(COOLED)
            submitting.start()
            injector.start(*lanes(scale))
            while submitting.busy or injector.busy:
                say(_line(vhost, submitting, injector, observer))
                time.sleep(3)
            quiet = _wait_quiet(management, vhost, observer, within=scale.settle_within, say=say)
        finally:
            fleet.stop()
        arrivals = httpx.get(observer.replace("/hook", "/seen")).json()
    return _figures(submitting, arrivals, injector, fleet) | {"went quiet": quiet}


def _figures(submitting: Submitting, arrivals: dict[str, Any], injector: Injector, fleet: Fleet) -> dict[str, Any]:
    taken = {int(order) for order, each in arrivals.items() if any(status == TAKEN for _, status in each)}
    lost = sorted(submitting.accepted - taken)
    again = redelivered(arrivals)
    return {
        "jobs accepted": len(submitting.accepted),
        "webhooks": len(submitting.accepted),
        "lost": len(lost),
        "lost orders": lost[:50],
        "webhooks taken more than once": len(again),
        "extra deliveries": sum(times - 1 for times in again.values()),
        "could not be submitted": len(submitting.refused),
        "refused, yet it arrived": len(submitting.refused.keys() & taken),
        "processes restarted": fleet.restarts,
        "faults": injector.counts(),
        "errors": injector.errors,
    }


def _wait_quiet(management: str, vhost: str, observer: str, *, within: float, say: Say) -> bool:
    end, before, since = time.monotonic() + within, -1, time.monotonic()
    while time.monotonic() < end:
        arrivals = httpx.get(observer.replace("/hook", "/count")).json()["arrivals"]
        waiting = sum(queue_lengths(management, vhost).values())
        if arrivals != before or waiting:
            before, since = arrivals, time.monotonic()
        if time.monotonic() - since > QUIET:
            return True
        say(f"celery {vhost}: {waiting} messages left, {arrivals} arrivals")
        time.sleep(2)
    return False


def launch(name: str, folder: Path, broker: str, pool: Sequence[str], *, careful: bool) -> Member:
    """Start a worker; `pool` are the options of `celery worker` that size it."""
    ready, log = folder / f"{name}.ready", folder / f"{name}.log"
    ready.unlink(missing_ok=True)
    own = {"NAIVE_BROKER": broker, "NAIVE_CAREFUL": "1" if careful else "0", "NAIVE_READY": str(ready)}
    environment = os.environ | own | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    celery = [sys.executable, "-m", "celery", "-A", "campaign.naive_app:app", "worker"]
    options = [*pool, "-n", f"{name}-{secrets.token_hex(3)}@%h", "--loglevel", "WARNING"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*celery, *options], env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
    return Member(name, process, log, ready, port=0)  # it serves no metrics


def own_vhost(addresses: Mapping[str, str], name: str) -> str:
    """Make a virtual host; return its AMQP URL."""
    parts = urlsplit(addresses["HOLDFAST_RABBITMQ_MANAGEMENT_URL"])
    httpx.put(
        f"http://{parts.hostname}:{parts.port}/api/vhosts/{name}",
        auth=(parts.username or "", parts.password or ""),
    ).raise_for_status()
    return urlunsplit(urlsplit(addresses["HOLDFAST_RABBITMQ_URL"])._replace(path=f"/{name}"))


def _line(vhost: str, submitting: Submitting, injector: Injector, observer: str) -> str:
    count = httpx.get(observer.replace("/hook", "/count")).json()
    last = injector.log[-1][1].value if injector.log else "none yet"
    return (
        f"celery {vhost}: accepted {len(submitting.accepted):>5}/{len(submitting.orders)}  "
        f"refused {len(submitting.refused):>4}  webhooks taken {count['taken']:>5}  "
        f"faults {len(injector.log):>3}  last: {last}"
    )
