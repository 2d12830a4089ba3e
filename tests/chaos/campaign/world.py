"""A sandbox of the campaign's own, the observer, and the processes under test with a supervisor that restarts them.

The ports lie below the ephemeral range and away from the defaults, so that a service which is down for a moment
finds its port free again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from sqlalchemy import make_url

from harness import Member, eventually

REPOSITORY = Path(__file__).resolve().parents[3]
LISTENERS = ("amqp", "management", "rabbitmq-metrics", "distribution", "epmd", "redis", "postgres")
Row = Any


@dataclass(slots=True)
class Sandbox:
    """RabbitMQ, Redis and PostgreSQL in a temporary folder, driven by `python3 infra/sandbox`."""

    root: Path
    ports: dict[str, int]

    @property
    def home(self) -> Path:
        """Its HOLDFAST_HOME."""
        return self.root / "home"

    def run(self, *arguments: str) -> None:
        """One command of the sandbox; raise with its output when it fails."""
        cache = os.environ.get("HOLDFAST_SANDBOX_CACHE") or str(
            Path(os.environ.get("HOLDFAST_HOME") or REPOSITORY / ".holdfast") / "cache"
        )
        given = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        done = subprocess.run(
            ["python3", str(REPOSITORY / "infra" / "sandbox"), *arguments],
            env=given | {"HOLDFAST_HOME": str(self.home), "HOLDFAST_SANDBOX_CACHE": cache},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"sandbox {' '.join(arguments)}: {done.stdout}{done.stderr}")

    def addresses(self) -> dict[str, str]:
        """The env file."""
        lines = (self.home / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that is up; wiped at the end, whatever happens."""
    made = Sandbox(Path(tempfile.mkdtemp(prefix="holdfast-chaos-")), ports(len(LISTENERS)))
    made.root.chmod(0o755)  # root starts the services as another user
    made.home.mkdir()
    (made.home / "ports.json").write_text(json.dumps(made.ports))
    try:
        made.run("up", "--services", "rabbitmq,redis,postgres")
        yield made
    finally:
        made.run("wipe")
        shutil.rmtree(made.root, ignore_errors=True)


def ports(count: int) -> dict[str, int]:
    """Free ports for the listeners of a sandbox."""
    return dict(zip(LISTENERS, own_ports(count), strict=True))


def own_ports(count: int) -> list[int]:
    """Free ports between the defaults and the ephemeral range, so that no outgoing connection takes one."""
    import socket

    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(21_000, 31_000)
        if port in found:
            continue
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found


def query(url: str, statement: str, *arguments: Any) -> list[Row]:
    """Rows of the ledger, over a connection of its own."""

    async def run() -> list[Row]:
        connection = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(False))
        try:
            rows: list[Row] = await connection.fetch(statement, *arguments)
            return rows
        finally:
            await connection.close()

    return asyncio.run(run())


@dataclass(slots=True)
class Fleet:
    """Processes that are started again whenever they are gone, as an orchestrator would."""

    launch: Callable[[str], Member]
    names: tuple[str, ...]
    members: dict[str, Member] = field(default_factory=dict)
    restarts: int = 0
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Start all, and the supervisor."""
        for name in self.names:
            self.members[name] = self.launch(name)
        self._thread = threading.Thread(target=self._supervise, name="supervisor", daemon=True)
        self._thread.start()

    def alive(self, prefix: str) -> list[Member]:
        """The running members whose names begin so."""
        return [member for name, member in self.members.items() if name.startswith(prefix) and member.alive]

    def stop(self) -> None:
        """End all: terms first, then what is left."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        for member in self.members.values():
            if member.alive:
                member.process.terminate()
        end = time.monotonic() + 10
        for member in self.members.values():
            try:
                member.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                member.kill_all()

    def _supervise(self) -> None:
        while not self._over.wait(0.2):
            for name, member in list(self.members.items()):
                if not member.alive:
                    self.restarts += 1
                    self.members[name] = self.launch(name)


@contextmanager
def observing(folder: Path) -> Iterator[str]:
    """An observer process; yields the URL of its hook."""
    (port,) = own_ports(1)
    url = f"http://127.0.0.1:{port}"
    with serving(folder, "campaign.observer", str(port), answers=f"{url}/count"):
        yield f"{url}/hook"


@contextmanager
def serving(folder: Path, module: str, *arguments: str, answers: str) -> Iterator[None]:
    """Run a server of ours, `python -m module arguments`; begin when the URL `answers` does, end it afterwards."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    with (folder / f"{module.rpartition('.')[2]}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", module, *arguments], env=environment, stdout=log, stderr=log)
    try:
        eventually(lambda: _answers(answers))
        yield
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False
