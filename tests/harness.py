"""The platform under test, as processes that can be watched and killed, and the waits that tests are allowed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import URL

from holdfast.settings import Settings

T = TypeVar("T")
JobCall = Callable[..., dict[str, Any]]
"""A fixture that does something with a job and returns its JSON."""
PROGRAM = Path(sys.executable).with_name("holdfast")
_GIVEN: set[int] = set()
"""Ports that were given out, which their servers may not have taken yet."""
COMMANDS = {
    "api": ["api"],
    "worker-render": ["worker", "render"],
    "worker-webhook": ["worker", "webhook"],
    "steward": ["steward"],
}


def eventually(
    look: Callable[[], T], accept: Callable[[T], bool] = bool, *, within: float = 60.0, every: float = 0.05
) -> T:
    """Look until `accept` likes what it sees; fail with the last sight after `within` seconds."""
    end = time.monotonic() + within
    while True:
        seen = look()
        if accept(seen):
            return seen
        assert time.monotonic() < end, f"not within {within:g} s; last seen: {seen!r}"
        time.sleep(every)


async def soon(look: Callable[[], T | Awaitable[T]], accept: Callable[[T], bool] = bool, *, within: float = 60.0) -> T:
    """The same in an event loop, which goes on meanwhile; `look` may be a coroutine function."""
    end = time.monotonic() + within
    while True:
        looked = look()
        seen = await looked if isinstance(looked, Awaitable) else looked
        if accept(seen):
            return seen
        assert time.monotonic() < end, f"not within {within:g} s; last seen: {seen!r}"
        await asyncio.sleep(0.005)


Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Metrics, by the name of the sample and its labels."""


def samples(text: str) -> Samples:
    """Read Prometheus' text format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum over all samples of that name that have these labels."""
    return sum(
        value for (sample, has), value in found.items() if sample == name and labels.items() <= dict(has).items()
    )


def psql(url: URL, statement: str) -> None:
    """Run one statement on a server's own database."""

    async def run() -> None:
        target = url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(target)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def free_port() -> int:
    """A port of loopback that nothing listens on, and that this process has not been given before."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port: int = server.getsockname()[1]
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port


def runs(process: psutil.Process) -> bool:
    """Whether it is there and no zombie; it may end while one looks."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Member:
    """One process of the platform."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    ready_file: Path
    port: int
    """Where it serves `/metrics`."""

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def children(self) -> list[psutil.Process]:
        """The processes below it."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill_all(self) -> None:
        """SIGKILL the process and everything below it, as a lost machine would."""
        below = self.children()
        self.process.kill()
        for child in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait()

    def terminate(self, within: float = 40.0) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    def metrics(self) -> Samples:
        """What it tells Prometheus now."""
        return samples(httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=60).raise_for_status().text)

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class Platform:
    """Starts and ends processes with the same settings."""

    settings: Settings
    folder: Path
    members: dict[str, Member] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    """Variables besides the settings."""
    apart: bool = False
    """Whether each process has a session of its own, as the sandbox's have. Linux shares the processor out among
    sessions first, as among containers: all that are in one get together what one connection of PostgreSQL gets."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, name: str, *, command: str | None = None, **settings: Any) -> Member:
        """Start a process; `settings` override the platform's for this one."""
        ready = self.folder / f"{name}.ready"
        ready.unlink(missing_ok=True)  # a killed predecessor left it
        log = self.folder / f"{name}.log"
        port = self.port if COMMANDS[command or name] == ["api"] else free_port()
        environment = self._environment(ready, {"metrics_port": port} | settings)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [PROGRAM, *COMMANDS[command or name]],
                env=environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=self.apart,
            )
        self.members[name] = Member(name, process, log, ready, port)
        return self.members[name]

    def wait_ready(self, *names: str, within: float = 120.0) -> None:
        """Wait until the api answers ready and the workers consume."""
        for name in names or tuple(self.members):
            member = self.members[name]
            eventually(lambda m=member: self._ready(m), lambda ready: ready is not None, within=within)

    def client(self, **options: Any) -> httpx.Client:
        """An HTTP client of the api."""
        return httpx.Client(base_url=self.url, timeout=60, **options)

    def for_commands(self) -> dict[str, str]:
        """The environment of a command line that talks to this platform."""
        return self._environment(self.folder / "none.ready", {"api_url": self.url})

    def stop(self, name: str) -> None:
        """End one process gracefully."""
        member = self.members.pop(name)
        if member.alive:
            member.terminate()

    def stop_all(self) -> None:
        """End every process, the workers first."""
        for name in sorted(self.members, reverse=True):
            self.stop(name)

    def _ready(self, member: Member) -> bool | None:
        assert member.alive, f"{member.name} ended with {member.process.returncode}:\n{member.tail()}"
        if not member.name.startswith("api"):
            return member.ready_file.exists() or None
        try:
            return httpx.get(f"{self.url}/readyz").status_code == 200 or None
        except httpx.TransportError:
            return None

    def _environment(self, ready: Path, overrides: dict[str, Any]) -> dict[str, str]:
        settings = self.settings.model_copy(
            update={"api_port": self.port, "worker_ready_file": ready, "log_format": "json"} | overrides
        )
        values = settings.model_dump(mode="python", exclude={"limits"})
        own = {f"HOLDFAST_{name.upper()}": _text(value) for name, value in values.items() if value is not None}
        limits = {
            f"HOLDFAST_LIMITS__{name.upper()}": str(value) for name, value in settings.limits.model_dump().items()
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        plugin = {"PYTHONPATH": str(Path(__file__).parent / "plugin")}
        return inherited | own | limits | plugin | self.environment


def _text(value: Any) -> str:
    if hasattr(value, "get_secret_value"):
        return str(value.get_secret_value())
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, tuple):
        return "[" + ",".join(f'"{_text(item)}"' for item in value) + "]"
    return str(value)
