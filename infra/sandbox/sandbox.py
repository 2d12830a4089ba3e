"""Bring the services up, take them down, and tell how they are.

Invariant: every command may be repeated, and may be interrupted anywhere: the next one looks at what really
runs and does only what is missing. `up` returns when each service has answered a real request.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from . import envfile
from .addresses import given_addresses, own_addresses, reachable
from .chosen import DEBIAN, Chosen, Given, recall, remember
from .errors import NotReady, SandboxError
from .home import DATA_NAMES, OWN_NAMES, Home
from .ports import LOOPBACK, Ports, is_free
from .progress import say, step
from .rootfs import RootFolder
from .services import SERVICES, Epmd, Place, RabbitMQ, Service
from .services.base import daemon_of
from .services.prometheus import address_of, write_targets

_SCRAPED = {"rabbitmq": "HOLDFAST_RABBITMQ_PROMETHEUS_URL", "prometheus": "HOLDFAST_PROMETHEUS_URL"}
"""What Prometheus scrapes, and which of its addresses has the metrics."""


@dataclass(frozen=True)
class Row:
    """One line of `status`. `memory` in bytes."""

    service: str
    version: str
    state: str
    pid: int | None
    ports: str
    memory: int

    @property
    def is_up(self) -> bool:
        """Does it answer?"""
        return self.state in ("up", "given")


def given_rows(given: Given) -> list[Row]:
    """The lines of services that somebody gave by URL."""
    rows = []
    for service, values in given.items():
        url = next(iter(values.values()))
        state = "given" if reachable(url) else "given, unreachable"
        rows.append(Row(service, "-", state, None, address_of(url), 0))
    return rows


class Sandbox:
    """The services of one home. `environ` is the caller's environment, in which URLs may be given."""

    def __init__(self, home: Home, environ: Mapping[str, str]) -> None:
        self.home = home
        self.ports = Ports(home.root / "ports.json")
        self._environ = environ

    def up(self, choice: Collection[str]) -> None:
        """Start what is missing of `choice`, leaving out what is given by URL, and write the env file."""
        given = given_addresses(self.home, self.ports, self._environ, choice)
        for service, values in given.items():
            say(f"{service} is given by {next(iter(values))}: not starting one")
        own = [service for service in choice if service not in given]
        if own:
            services = self._services(own)
            self._choose_ports(services)
            self._start_all(services)
        if "prometheus" in own:
            for service in _SCRAPED:
                ours = own_addresses(service, self.home, self.ports) if service in own else given.get(service, {})
                self._write_target(service, ours)
        remember(self.home, self.ports, Chosen(own, given, DEBIAN))

    def down(self) -> None:
        """Stop everything that runs, in the reverse order of starting."""
        for service in reversed(SERVICES):
            with step(f"{service.name} stopped") as line:
                if not daemon_of(service, self.home).stop():
                    line.text = f"{service.name} was not running"

    def wipe(self, *, only_data: bool) -> None:
        """Stop everything and remove it: with the downloads, or the data (and its passwords) only."""
        self.down()
        with step("data removed" if only_data else f"removed {self.home.root}"):
            self.home.remove(DATA_NAMES if only_data else OWN_NAMES)
        if not only_data and self.home.cache.exists():
            say(f"the shared packages stay in {self.home.cache}")

    def start(self, name: str) -> None:
        """Start one service (and epmd for rabbitmq) and wait until it answers."""
        services = self._services([name])
        self._choose_ports(services)
        self._start_all(services)
        addresses = own_addresses(name, self.home, self.ports)
        if name in _SCRAPED:
            self._write_target(name, addresses)
        envfile.update(self.home.env_file, addresses)

    def stop(self, name: str) -> None:
        """Stop one service gracefully."""
        with step(f"{name} stopped") as line:
            if not daemon_of(_service(name), self.home).stop():
                line.text = f"{name} was not running"

    def kill(self, name: str) -> None:
        """SIGKILL one service with all its processes, as a crash would."""
        with step(f"{name} killed") as line:
            if not daemon_of(_service(name), self.home).kill():
                line.text = f"{name} was not running"

    def status(self) -> list[Row]:
        """How each chosen service is now."""
        chosen = recall(self.home)
        root = RootFolder.existing(self.home)
        rows = [self._row(service, root) for service in SERVICES if _choice_of(service) in chosen.own]
        return [*rows, *given_rows(chosen.given)]

    def place(self) -> Place:
        """The place of this home, for commands that run a tool in it; the packages must be there."""
        root = RootFolder.existing(self.home)
        if root is None:
            raise SandboxError(
                "There is no sandbox yet", f"{self.home.root} is empty", "Run `python3 infra/sandbox up`"
            )
        return Place(self.home, self.ports, root)

    def _services(self, choice: Collection[str]) -> list[Service]:
        place = Place(self.home, self.ports, RootFolder.ensure(self.home))
        return [service(place) for service in SERVICES if _choice_of(service) in choice]

    def _choose_ports(self, services: list[Service]) -> None:
        for service in services:
            if service.daemon.identity() is None:
                for listener in service.listeners:
                    self.ports.choose(listener)

    def _write_target(self, service: str, addresses: Mapping[str, str]) -> None:
        """After the start, for a service that finds its port taken comes up on another."""
        url = addresses.get(_SCRAPED[service])
        write_targets(self.home, service, [address_of(url)] if url else [])

    def _start_all(self, services: list[Service]) -> None:
        """All at the same time, but for epmd, which the node needs."""
        for service in services:
            if isinstance(service, Epmd):
                self._start(service)
        rest = [service for service in services if not isinstance(service, Epmd)]
        with ThreadPoolExecutor(max(1, len(rest))) as pool:
            for started in [pool.submit(self._start, service) for service in rest]:
                started.result()

    def _start(self, service: Service) -> None:
        with step(f"{service.name} {service.version} already up, {self._addresses(service)}") as line:
            if service.daemon.identity() is None:
                self._launch(service)
                line.text = f"{service.name} {service.version} up, {self._addresses(service)}"
            else:
                _wait(service)

    def _launch(self, service: Service) -> None:
        """Start and wait; once more on other ports if somebody took one of ours in that moment."""
        try:
            _prepare_and_start(service)
        except SandboxError:
            if service.daemon.identity() is not None or all(is_free(self.ports[name]) for name in service.listeners):
                raise
            for listener in service.listeners:
                self.ports.choose(listener)
            _prepare_and_start(service)

    def _row(self, kind: type[Service], root: RootFolder | None) -> Row:
        daemon = daemon_of(kind, self.home)
        identity = daemon.identity()
        version = root.version(kind.package) if root else "-"
        ports = " ".join(str(self.ports.get(listener) or "-") for listener in kind.listeners)
        if identity is None or root is None:
            return Row(kind.name, version, "down", None, ports, 0)
        state = "up"
        try:
            kind(Place(self.home, self.ports, root)).answers()
        except NotReady:
            state = "no answer"
        return Row(kind.name, version, state, identity.pid, ports, daemon.memory())

    def _addresses(self, service: Service) -> str:
        return f"{LOOPBACK} port {' '.join(str(self.ports.get(listener)) for listener in service.listeners)}"


def _prepare_and_start(service: Service) -> None:
    service.prepare()
    service.daemon.start(service.command())
    _wait(service)


def _wait(service: Service) -> None:
    """Until a real request is answered; the log speaks if that never happens."""
    deadline = time.monotonic() + service.start_seconds
    reason = "nothing yet"
    while time.monotonic() < deadline:
        if service.daemon.identity() is None:
            raise _failed(service, "it ended")
        try:
            return service.answers()
        except NotReady as not_ready:
            reason = str(not_ready)
        time.sleep(0.1)
    raise _failed(service, f"no answer within {service.start_seconds:.0f} s ({reason})")


def _failed(service: Service, why: str) -> SandboxError:
    daemon = service.daemon
    return SandboxError(
        f"{service.name} did not start", f"{why}; the end of its log {daemon.log} is below", evidence=daemon.log_tail()
    )


def _service(name: str) -> type[Service]:
    return next(service for service in SERVICES if service.name == name)


def _choice_of(service: type[Service]) -> str:
    return RabbitMQ.name if service is Epmd else service.name
