"""One way to drive Holdfast and every peer: an api, a fill, workers, and a count of what was settled.

`settled` is what has been done, told by who did it: a peer's jobs note the time at which they ran, Holdfast's ledger
has the time at which each attempt was settled. Either count is compared with what the callers were told.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import httpx
import redis
from campaign.audit import queue_lengths
from campaign.naive import own_vhost
from campaign.world import Sandbox, own_ports, query

from harness import Platform, eventually
from holdfast.client import Holdfast
from holdfast.client.models import JobRequest
from overload.phases import platform

from .environment import HERE
from .roster import Peer

NOOP, WEBHOOK = "noop", "webhook"
NUMBER = '"{n}"'
"""Stands for the number of a job in the payload of many."""
STARTING = 60.0
FILLING = 120.0
SETTLED = "SELECT extract(epoch FROM finished_at)::float AS at FROM attempts WHERE state = 'succeeded' ORDER BY 1"
DONE = "SELECT count(*) AS jobs FROM jobs WHERE state = 'succeeded'"
LEFT = "SELECT count(*) AS jobs FROM jobs WHERE state NOT IN ('succeeded', 'dead', 'cancelled')"


class Side(Protocol):
    """A stack under test, whose api is up. Its queues and its notes are empty at first."""

    name: str
    urls: Sequence[str]
    """Where each of its apis takes jobs."""

    def body(self, kind: str, payload: str) -> str:
        """The request for one job."""

    def fill(self, kind: str, payload: str, count: int) -> int:
        """Hand over so many jobs, by the quickest way it has; how many were taken."""

    def workers(self, kind: str, processes: int) -> Any:
        """A context in which that many worker processes run."""

    def done(self) -> int:
        """How many jobs have been settled: cheap to ask."""

    def settled(self) -> Sequence[float]:
        """When each no-op was settled, in seconds since the epoch; twice for one that was settled twice."""

    def left(self) -> int:
        """How many jobs are not settled, as far as the stack itself knows; of RabbitMQ's queues some seconds stale."""

    def pids(self) -> list[int]:
        """Its processes."""


@dataclass(slots=True)
class HoldfastSide:
    """Holdfast. It sheds nothing and limits nothing here, for no peer does."""

    running: Platform
    ports: Sequence[int] = ()
    """Of the apis besides the first one."""
    name: str = "holdfast"
    kinds: dict[str, str] = field(default_factory=lambda: {NOOP: "custom.noop", WEBHOOK: "webhook.dispatch"})

    @property
    def url(self) -> str:
        """Of its first api."""
        return self.running.url

    @property
    def urls(self) -> Sequence[str]:
        """A port for each api process: what a load balancer has in front of it."""
        return [f"http://127.0.0.1:{port}/v1/jobs" for port in (self.running.port, *self.ports)]

    def body(self, kind: str, payload: str) -> str:
        """As documented."""
        return json.dumps({"kind": self.kinds[kind], "payload": json.loads(payload)})

    def fill(self, kind: str, payload: str, count: int) -> int:
        """In batches."""
        wanted = (json.loads(payload.replace(NUMBER, str(number))) for number in range(count))
        jobs = [JobRequest(kind=self.kinds[kind], payload=each) for each in wanted]
        with Holdfast(self.url) as client:
            outcomes = [it for first in range(0, count, 1000) for it in client.batch(jobs[first : first + 1000])]
        return sum(outcome.job is not None for outcome in outcomes)

    @contextmanager
    def workers(self, _: str, processes: int) -> Iterator[None]:
        """Of the pool that has the event loop; it runs no-ops too."""
        names = [f"worker-webhook-{number + 1}" for number in range(processes)]
        try:
            for name in names:
                self.running.start(name, command="worker-webhook")
            yield
        finally:
            for name in names:
                self.running.stop(name)

    def done(self) -> int:
        """By the ledger."""
        return int(self._query(DONE)[0]["jobs"])

    def settled(self) -> Sequence[float]:
        """By the ledger."""
        return [row["at"] for row in self._query(SETTLED)]

    def left(self) -> int:
        """By the ledger."""
        return int(self._query(LEFT)[0]["jobs"])

    def pids(self) -> list[int]:
        """Api (with the steward) and workers."""
        return [member.process.pid for member in self.running.members.values()]

    def _query(self, statement: str) -> list[Any]:
        return query(self.running.settings.postgres_url.get_secret_value(), statement)


@contextmanager
def holdfast(place: Sandbox, processes: int) -> Iterator[Side]:
    """Its apis, over an empty ledger. One host may have every slot of a worker, for all webhooks go to one."""
    with platform(place, shed_load=False, egress_allow=("127.0.0.0/8",), downstream_share=1.0) as running:
        query(running.settings.postgres_url.get_secret_value(), "TRUNCATE jobs, attempts, outbox, dead_letters")
        ports = own_ports(processes - 1)
        for number, port in enumerate(ports, 2):
            running.start(f"api-{number}", command="api", api_port=port)
            eventually(lambda port=port: _answers(f"http://127.0.0.1:{port}"), within=STARTING)
        yield HoldfastSide(running, ports)


@dataclass(slots=True)
class PeerSide:
    """A peer; `broker` is where its messages go."""

    peer: Peer
    programs: Path
    folder: Path
    broker: str
    waiting: Callable[[], int]
    port: int
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the peer."""
        return self.peer.name

    @property
    def url(self) -> str:
        """Of its api."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def urls(self) -> Sequence[str]:
        """One port: uvicorn's processes share it."""
        return [f"{self.url}/jobs"]

    def body(self, kind: str, payload: str) -> str:
        """As `stacks.web` reads it."""
        return json.dumps({"kind": kind, "payload": json.loads(payload)})

    def fill(self, kind: str, payload: str, count: int) -> int:
        """By its own producer."""
        command = ("python", "-m", "stacks.fill", self.peer.stack, str(count), kind, payload)
        printed = subprocess.check_output(self._command(command), **self._surroundings(), timeout=FILLING)
        return int(printed.split()[-1])

    @contextmanager
    def workers(self, kind: str, processes: int) -> Iterator[None]:
        """By its own command line."""
        with self.program(*self.peer.worker(kind, processes)):
            yield

    @contextmanager
    def program(self, *command: str) -> Iterator[None]:
        """Run one of its programs."""
        with (self.folder / f"{self.name}.log").open("ab") as log:
            process = subprocess.Popen(self._command(command), **self._surroundings(), stdout=log, stderr=log)
        self.processes.append(process)
        try:
            yield
        finally:
            self.processes.remove(process)
            _end(process)

    def done(self) -> int:
        """By the length of the notes."""
        return self._notes.stat().st_size // 8 if self._notes.exists() else 0

    def settled(self) -> Sequence[float]:
        """By the notes of the jobs."""
        notes = self._notes.read_bytes() if self._notes.exists() else b""
        return sorted(struct.unpack(f"{len(notes) // 8}d", notes))

    def left(self) -> int:
        """By the broker."""
        return self.waiting()

    def pids(self) -> list[int]:
        """Api and workers."""
        return [process.pid for process in self.processes]

    @property
    def _notes(self) -> Path:
        return self.folder / f"{self.name}.notes"

    def _command(self, command: Sequence[str]) -> Sequence[str]:
        return (str(self.programs / command[0]), *command[1:])

    def _surroundings(self) -> dict[str, Any]:
        own = {"PEER_BROKER": self.broker, "PEER_NOTES": str(self._notes), "PYTHONPATH": str(HERE)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        return {"env": inherited | own | self.peer.environment, "cwd": HERE, "stdin": subprocess.DEVNULL}


@contextmanager
def peer(place: Sandbox, peer: Peer, programs: Path, processes: int) -> Iterator[Side]:
    """Its api, over an empty broker."""
    broker, waiting = _redis(place, peer) if peer.over == "redis" else _rabbitmq(place, peer)
    side = PeerSide(peer, programs, place.root, broker, waiting, own_ports(1)[0])
    side._notes.unlink(missing_ok=True)
    options = ("--port", str(side.port), "--workers", str(processes), "--no-access-log", "--log-level", "warning")
    with side.program("uvicorn", f"stacks.{peer.stack}:app", *options):
        eventually(lambda: _answers(side.url), within=STARTING)
        yield side


def _redis(place: Sandbox, peer: Peer) -> tuple[str, Callable[[], int]]:
    url = urlunsplit(urlsplit(place.addresses()["HOLDFAST_REDIS_URL"])._replace(path="/5"))
    client = redis.Redis.from_url(url)
    client.flushdb()
    return url, lambda: int(client.llen(peer.queue) + client.hlen(peer.unacknowledged or ""))  # type: ignore[operator]


def _rabbitmq(place: Sandbox, peer: Peer) -> tuple[str, Callable[[], int]]:
    addresses = place.addresses()
    management = addresses["HOLDFAST_RABBITMQ_MANAGEMENT_URL"]
    parts = urlsplit(management)
    credentials = (parts.username or "", parts.password or "")
    httpx.delete(f"http://{parts.hostname}:{parts.port}/api/vhosts/{peer.name}", auth=credentials, timeout=30)
    return own_vhost(addresses, peer.name), lambda: queue_lengths(management, peer.name).get(peer.queue, 0)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/openapi.json").is_success
    except httpx.TransportError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
