"""Holdfast under the campaign: two apis and two of each worker, orders, faults, settling, audit."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from harness import PROGRAM, Member, Platform, eventually
from holdfast.client import Holdfast
from holdfast.settings import Settings

from . import audit, faults
from .faults import Injector
from .orders import Places, Planner
from .submitter import Submitter
from .world import Fleet, Sandbox, own_ports, query

NAMES = ("api-1", "api-2", "worker-render-1", "worker-render-2", "worker-webhook-1", "worker-webhook-2")
COOLED = 2.5
"""Seconds to wait after queues were declared for the first time: RabbitMQ 4.3.6, killed within the first one or so,
comes back with them empty."""
START = 120.0
"""Seconds within which all processes must be up; a few when the machine does nothing else."""
VHOST = "holdfast"
UNACCOUNTED = r"^holdfast_jobs_unaccounted(?:{[^}]*})? (\S+)"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Scale:
    """How large, how fast, how rough."""

    orders: int
    rate: float
    seed: int
    process_gap: float
    service_gap: float
    settle_within: float
    short: bool = False

    @property
    def lasting(self) -> float:
        """Seconds of submitting, and of faults."""
        return self.orders / self.rate


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    promises: list[audit.Promise]
    faults: dict[str, int]
    errors: list[str]
    figures: dict[str, Any]
    evidence: list[dict[str, Any]]


@contextmanager
def running(
    sandbox: Sandbox, names: tuple[str, ...] = NAMES, **own: Any
) -> Iterator[tuple[Fleet, Settings, list[str]]]:
    """The platform on this sandbox, `own` settings included: its fleet, its settings, and the URLs of its apis."""
    given = sandbox.addresses()
    settings = Settings(
        postgres_url=given["HOLDFAST_POSTGRES_URL"],
        rabbitmq_url=given["HOLDFAST_RABBITMQ_URL"],
        rabbitmq_management_url=given["HOLDFAST_RABBITMQ_MANAGEMENT_URL"],
        redis_url=given["HOLDFAST_REDIS_URL"],
        artifacts_url=f"file://{sandbox.root / 'artifacts'}",
        egress_allow=("127.0.0.0/8",),
        **own,
    )
    platform = Platform(settings, sandbox.root)
    for command in (("db", "upgrade"), ("topology", "apply")):
        _prepare(platform, *command)
    declared = time.monotonic()
    apis = [name for name in names if name.startswith("api")]
    api_ports = dict(zip(apis, own_ports(len(apis)), strict=True))

    def launch(name: str) -> Member:
        port = {"api_port": api_ports[name]} if name in api_ports else {}
        (sandbox.root / f"{name}.ready").unlink(missing_ok=True)
        return platform.start(name, command=name.rsplit("-", 1)[0], **port)

    fleet = Fleet(launch, names)
    urls = [f"http://127.0.0.1:{port}" for port in api_ports.values()]
    try:
        fleet.start()
        eventually(lambda: all(map(_ready, urls)), within=START)
        eventually(lambda: all(member.ready_file.exists() for member in fleet.alive("worker")), within=START)
        time.sleep(max(0.0, declared + COOLED - time.monotonic()))
        yield fleet, settings, urls
    finally:
        fleet.stop()


def campaign(sandbox: Sandbox, observer: str, scale: Scale, say: Say) -> Outcome:
    """Run the orders through the faults, and audit."""
    begun = time.monotonic()
    with running(sandbox, worker_grace=5.0 if scale.short else 25.0) as (fleet, settings, urls):
        ledger = settings.postgres_url.get_secret_value()
        orders = Planner(scale.seed, Places(observer, _picture(sandbox.root, urls[0])), scale.short).mixed(scale.orders)
        injector = Injector(sandbox, fleet, ledger)
        submitter = Submitter(urls, orders, scale.rate, scale.seed, lambda: injector.log)
        started = time.monotonic()
        submitter.start()
        injector.start(*lanes(scale))
        while submitter.busy or injector.busy:
            say(_line(started, submitter, injector, observer))
            time.sleep(3)
        broken = time.monotonic() - started
        submitter.stop_reposting()
        management = settings.rabbitmq_management_url.get_secret_value()
        queues = lambda: audit.queue_lengths(management, VHOST)  # noqa: E731
        audit.settled(ledger, queues, within=scale.settle_within, say=say)
        settling = time.monotonic() - started - broken
        afterwards = submitter.repost_all()
        say(f"posted all {afterwards.asked} keys again")
        evidence = audit.Evidence(
            orders,
            submitter.accepted,
            submitter.refused,
            httpx.get(observer.replace("/hook", "/seen"), timeout=60).json(),
            submitter.reposts,
            afterwards,
            ledger,
            sandbox.root / "artifacts",
            queues(),
            _unaccounted(urls, patience=0.0 if scale.short else 60.0),
        )
        promises = audit.audit(evidence)
        figures = _figures(evidence, submitter, fleet) | {
            "seconds": {
                "under faults": round(broken, 1),
                "until all had ended": round(settling, 1),
                "in all": round(time.monotonic() - begun, 1),
            }
        }
        return Outcome(promises, injector.counts(), injector.errors, figures, _explain(ledger, promises))


def lanes(scale: Scale) -> tuple[list[faults.Strike], list[faults.Strike]]:
    """The plan of both lanes for this scale."""
    return (
        faults.plan(scale.seed, faults.PROCESSES, lasting=scale.lasting, gap=scale.process_gap),
        faults.plan(scale.seed, faults.SERVICES, lasting=scale.lasting, gap=scale.service_gap),
    )


def _figures(evidence: audit.Evidence, submitter: Submitter, fleet: Fleet) -> dict[str, Any]:
    again = audit.redelivered(evidence.arrivals)
    claims = query(evidence.ledger, "SELECT count(*) AS more FROM attempts WHERE deliveries > 1")[0]["more"]
    due = sum(order.kind == "webhook.dispatch" for order in evidence.orders)
    return {
        "jobs accepted": len(evidence.accepted),
        "webhooks": due,
        "webhooks taken more than once": len(again),
        "extra deliveries": sum(times - 1 for times in again.values()),
        "attempts that were redelivered": claims,
        "processes restarted": fleet.restarts,
        "calls that had to go to the other api": submitter.retries,
        "could not be submitted": len(submitter.refused),
        "reposts after a fault": {fault.value: n for fault, n in sorted(submitter.reposts.after.items())},
    }


def _line(started: float, submitter: Submitter, injector: Injector, observer: str) -> str:
    count = httpx.get(observer.replace("/hook", "/count"), timeout=60).json()
    last = injector.log[-1][1].value if injector.log else "none yet"
    return (
        f"{time.monotonic() - started:4.0f} s  accepted {len(submitter.accepted):>6}/{len(submitter.orders)}  "
        f"webhooks taken {count['taken']:>6}  re-posts {submitter.reposts.same:>5}/{submitter.reposts.asked:<5}  "
        f"faults {len(injector.log):>3}  last: {last}"
    )


def _explain(ledger: str, promises: list[audit.Promise]) -> list[dict[str, Any]]:
    """The attempts of the first few offenders."""
    words = [word for promise in promises for offender in promise.offenders for word in offender.split()]
    ids = [
        match for word in words if (match := re.sub(r"[^0-9a-f-]", "", word)) and re.fullmatch(r"[0-9a-f-]{36}", match)
    ]
    return audit.timelines(ledger, dict.fromkeys(ids[:40])) if ids else []


def _unaccounted(urls: list[str], *, patience: float) -> float | None:
    """The leader's own figure, the sum over its queues. A fresh leader needs three samples before it knows one."""
    end = time.monotonic() + patience
    while True:
        texts = [httpx.get(f"{url}/metrics", timeout=60).text for url in urls]
        found = [float(value) for text in texts for value in re.findall(UNACCOUNTED, text, re.M)]
        if found or time.monotonic() > end:
            return sum(found) if found else None
        time.sleep(1)


def _picture(folder: Path, url: str) -> str:
    """A small picture, uploaded: the id of the upload."""
    file = folder / "source.png"
    Image.radial_gradient("L").convert("RGB").save(file)
    with Holdfast(url) as client:
        return client.upload(file.read_bytes(), "image/png").id


def _prepare(platform: Platform, *command: str) -> None:
    """Run one command of the platform's own before it starts."""
    environment = platform._environment(platform.folder / "none", {})
    subprocess.run([PROGRAM, *command], env=environment, check=True, capture_output=True, timeout=60)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False
