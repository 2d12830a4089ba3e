"""What every service of the sandbox promises.

    absent --prepare--> prepared --daemon.start--> starting --answers--> up

`prepare` may run again at any time: it rewrites the configuration and leaves data alone.
"""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM, Signals
from typing import ClassVar

from sandbox.daemon import Command, Daemon
from sandbox.errors import NotReady
from sandbox.home import Home
from sandbox.ports import LOOPBACK, Ports
from sandbox.rootfs import RootFolder

USER = "holdfast"
DATABASE = "holdfast"
PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Place:
    """Where a service runs: its home, its ports, and the root folder with its program."""

    home: Home
    ports: Ports
    root: RootFolder


class Service(ABC):
    """One service; `listeners` names its ports, `start_seconds` is how long it may take to answer."""

    name: ClassVar[str]
    package: ClassVar[str]
    listeners: ClassVar[tuple[str, ...]]
    stop_signal: ClassVar[Signals] = SIGTERM
    stop_seconds: ClassVar[float] = 30.0
    start_seconds: ClassVar[float] = 60.0

    def __init__(self, place: Place) -> None:
        self.place = place
        self.home = place.home
        self.ports = place.ports
        self.daemon = daemon_of(type(self), place.home)

    @abstractmethod
    def prepare(self) -> None:
        """Write the configuration for the ports of now; on the first run also lay out the data."""

    @abstractmethod
    def command(self) -> Command:
        """What to start."""

    @abstractmethod
    def answers(self) -> None:
        """Return once a real request is answered; raise NotReady with the reason otherwise."""

    @property
    def version(self) -> str:
        """The upstream version of the program."""
        return self.place.root.version(self.package)

    @property
    def data(self) -> Path:
        """Its data on the host; /data for the service."""
        return self.home.data(self.name)

    @property
    def etc(self) -> Path:
        """Its configuration on the host; /config for the service."""
        return self.home.etc(self.name)


def daemon_of(service: type[Service], home: Home) -> Daemon:
    """The daemon of a service, for commands that need nothing else of it."""
    return Daemon(
        service.name,
        home.record(service.name),
        home.log(service.name),
        stop_signal=service.stop_signal,
        grace=service.stop_seconds,
    )


def connect(port: int) -> socket.socket:
    """A connection to a loopback port; raises NotReady."""
    try:
        return socket.create_connection((LOOPBACK, port), timeout=PROBE_SECONDS)
    except OSError as error:
        raise NotReady(f"port {port}: {error}") from error


def get(port: int, path: str, credentials: tuple[str, str] | None = None) -> bytes:
    """The body of a 2xx answer of a loopback port; raises NotReady. Proxies of the environment are not asked."""
    request = urllib.request.Request(f"http://{LOOPBACK}:{port}{path}")
    if credentials:
        request.add_header("Authorization", "Basic " + b64encode(":".join(credentials).encode()).decode())
    try:
        with _opener.open(request, timeout=PROBE_SECONDS) as response:
            body: bytes = response.read()
            return body
    except (OSError, urllib.error.URLError) as error:
        raise NotReady(f"GET {path} on port {port}: {error}") from error


def settings(values: Mapping[str, object], separator: str) -> str:
    """A flat configuration file."""
    return "".join(f"{key}{separator}{value}\n" for key, value in values.items())


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
