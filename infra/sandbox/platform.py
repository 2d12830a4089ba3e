"""Holdfast's own processes (api and workers), run from the venv beside the sandbox's services.

Invariant: `up` returns when each process has said that it is ready: the api by 200 from /readyz, a worker by
touching the file named in HOLDFAST_WORKER_READY_FILE once it consumes. A process that is already up is left alone.
"""

from __future__ import annotations

import argparse
import os
import re
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from . import envfile
from .daemon import Command, Daemon
from .errors import NotReady, SandboxError
from .home import REPOSITORY, Home
from .ports import LOOPBACK, Ports
from .progress import say, step
from .services.base import get
from .services.prometheus import write_targets

API = "api"
ROLES: dict[str, tuple[str, ...]] = {
    API: ("api",),
    "worker-render": ("worker", "render"),
    "worker-webhook": ("worker", "webhook"),
}
"""Arguments of the `holdfast` command for each kind of process."""

READY_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Member:
    """One process; the second of a role is called `worker-webhook-2`."""

    role: str
    number: int = 1

    @property
    def name(self) -> str:
        """As in `worker-webhook-2`; the first carries no number."""
        return self.role if self.number == 1 else f"{self.role}-{self.number}"


class Platform:
    """The processes of one home, started from one venv."""

    def __init__(self, home: Home, venv: Path | None = None) -> None:
        self.home = home
        self.ports = Ports(home.root / "ports.json")
        self._venv = (venv or REPOSITORY / ".venv").absolute()

    def up(self, scale: Mapping[str, int]) -> None:
        """Start what is missing, `scale` processes of a role (1 unless said), and stop what is too many."""
        wanted = [Member(role, number + 1) for role in ROLES for number in range(scale.get(role, 1))]
        self._require_program()
        for member in self._running():
            if member not in wanted:
                self.stop(member)
        for member in wanted:
            if self._daemon(member).identity() is None:
                self.ports.choose(member.name)
        self._publish_addresses(wanted)
        started = [member for member in wanted if self._start(member)]
        for member in wanted:
            with step(f"{member.name} {'up' if member in started else 'already up'}{self._at(member)}"):
                self._wait(member)

    def down(self) -> None:
        """SIGTERM, up to 30 s for the work in hand, then SIGKILL. The workers go first, the api last."""
        for member in reversed(self._running()):
            self.stop(member)
        if (self.home.etc("prometheus") / "targets").exists():
            self._write_targets([])

    def stop(self, member: Member) -> None:
        """End one process gracefully."""
        with step(f"{member.name} stopped"):
            self._daemon(member).stop()

    def kill(self, member: Member) -> None:
        """SIGKILL the process and its children, as a crash would."""
        with step(f"{member.name} killed") as line:
            if not self._daemon(member).kill():
                line.text = f"{member.name} was not running"

    def restart(self, member: Member) -> None:
        """End one process gracefully and start it again."""
        self.stop(member)
        self.ports.choose(member.name)
        self._start(member)
        with step(f"{member.name} up{self._at(member)}"):
            self._wait(member)

    def status(self) -> list[tuple[str, str, int | None, int]]:
        """Name, state, pid and memory in bytes of every process that should run or does."""
        members = {member.name: member for member in [*map(Member, ROLES), *self._running()]}
        rows = []
        for name, member in members.items():
            daemon = self._daemon(member)
            identity = daemon.identity()
            state = "down"
            if identity is not None:
                try:
                    self._ready(member)
                    state = "up"
                except NotReady:
                    state = "not ready"
            rows.append((name, state, identity.pid if identity else None, daemon.memory()))
        return rows

    def _start(self, member: Member) -> bool:
        daemon = self._daemon(member)
        if daemon.identity() is not None:
            return False
        self._ready_file(member).unlink(missing_ok=True)
        argv = [str(self._program()), *ROLES[member.role]]
        daemon.start(Command(argv, self._environment(member), cwd=REPOSITORY))
        return True

    def _environment(self, member: Member) -> dict[str, str]:
        """The caller's environment, the addresses of the env file over it, and what only this process needs."""
        own = {"HOLDFAST_API_PORT": str(self.ports[API]), "PYTHONUNBUFFERED": "1"}
        if member.role != API:
            own["HOLDFAST_METRICS_PORT"] = str(self.ports[member.name])
            own["HOLDFAST_WORKER_READY_FILE"] = str(self._ready_file(member))
        return {**os.environ, **envfile.read(self.home.env_file), **own}

    def _wait(self, member: Member) -> None:
        daemon = self._daemon(member)
        deadline = time.monotonic() + READY_SECONDS
        reason = "nothing yet"
        while time.monotonic() < deadline:
            if daemon.identity() is None:
                raise _failed(daemon, "it ended")
            try:
                return self._ready(member)
            except NotReady as not_ready:
                reason = str(not_ready)
            time.sleep(0.1)
        raise _failed(daemon, f"not ready within {READY_SECONDS:.0f} s ({reason})")

    def _ready(self, member: Member) -> None:
        if member.role == API:
            get(self.ports[API], "/readyz")
        elif not self._ready_file(member).exists():
            raise NotReady(f"{self._ready_file(member)} is not there")

    def _publish_addresses(self, members: list[Member]) -> None:
        address = f"{LOOPBACK}:{self.ports[API]}"
        values = {"HOLDFAST_API_URL": f"http://{address}", "HOLDFAST_API_PORT": str(self.ports[API])}
        envfile.update(self.home.env_file, values)
        self._write_targets(members)

    def _write_targets(self, members: list[Member]) -> None:
        """Where Prometheus finds `/metrics` of each process."""
        for role in ROLES:
            ports = [self.ports[member.name] for member in members if member.role == role]
            write_targets(self.home, role, [f"{LOOPBACK}:{port}" for port in ports])

    def _running(self) -> list[Member]:
        """Those with a living process, in the order of ROLES."""
        pattern = re.compile(rf"platform\.({'|'.join(ROLES)})(?:-(\d+))?\.json")
        found = [pattern.fullmatch(path.name) for path in sorted(self.home.record("x").parent.glob("platform.*.json"))]
        members = [Member(match[1], int(match[2] or 1)) for match in found if match]
        members.sort(key=lambda member: (list(ROLES).index(member.role), member.number))
        return [member for member in members if self._daemon(member).identity() is not None]

    def _daemon(self, member: Member) -> Daemon:
        record = self.home.record(f"platform.{member.name}")
        return Daemon(member.name, record, self.home.log(member.name), grace=STOP_SECONDS)

    def _ready_file(self, member: Member) -> Path:
        return self.home.root / "run" / f"{member.name}.ready"

    def _program(self) -> Path:
        return self._venv / "bin" / "holdfast"

    def _require_program(self) -> None:
        if not self._program().exists():
            raise SandboxError(
                f"{self._program()} does not exist", "the venv was not made yet", "Run `python3 infra/sandbox venv`"
            )
        if not self.home.env_file.exists():
            raise SandboxError(
                "The services are not up", f"{self.home.env_file} does not exist", "Run `python3 infra/sandbox up`"
            )

    def _at(self, member: Member) -> str:
        return f", http://{LOOPBACK}:{self.ports[API]}" if member.role == API else ""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`platform up|down|status|kill|restart`."""
    parser = commands.add_parser("platform", help="Holdfast's own processes: up, down, status, kill, restart")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name in ("up", "down", "status", "kill", "restart"):
        action = actions.add_parser(name)
        action.add_argument("--venv", type=Path, default=None, help="default: .venv in the repository")
        if name == "up":
            action.add_argument("--scale", action="append", default=[], type=_scale, metavar="ROLE=N")
        if name in ("kill", "restart"):
            action.add_argument("name", type=_member, help="api, worker-render, worker-webhook, worker-webhook-2, …")
    parser.set_defaults(run=_run)


def _run(home: Home, arguments: argparse.Namespace) -> int:
    platform = Platform(home, arguments.venv)
    with home.locked() if arguments.action != "status" else nullcontext():
        match arguments.action:
            case "up":
                platform.up(dict(arguments.scale))
                say(f"the api is at http://{LOOPBACK}:{platform.ports[API]}")
            case "down":
                platform.down()
            case "kill":
                platform.kill(arguments.name)
            case "restart":
                platform.restart(arguments.name)
            case "status":
                return _print(platform)
    return 0


def _print(platform: Platform) -> int:
    rows = platform.status()
    print(f"{'PROCESS':<20} {'STATE':<10} {'PID':>8} {'MEMORY':>8}")
    for name, state, pid, used in rows:
        print(f"{name:<20} {state:<10} {pid or '-':>8} {f'{used / 1e6:.0f} MB' if used else '-':>8}")
    return 0 if all(state == "up" for _name, state, _pid, _used in rows) else 1


def _failed(daemon: Daemon, why: str) -> SandboxError:
    return SandboxError(
        f"{daemon.name} did not start",
        f"{why}; the end of its log {daemon.log} is below",
        "Mend it and run the command again",
        evidence=daemon.log_tail(),
    )


def _scale(text: str) -> tuple[str, int]:
    role, _, count = text.partition("=")
    if role not in ROLES or not count.isdigit():
        raise argparse.ArgumentTypeError(f"say ROLE=N with a role of {', '.join(ROLES)}")
    return role, int(count)


def _member(text: str) -> Member:
    match = re.fullmatch(rf"({'|'.join(ROLES)})(?:-(\d+))?", text)
    if not match:
        raise argparse.ArgumentTypeError(f"a process is called {', '.join(ROLES)}, or one of these with -2, -3, …")
    return Member(match[1], int(match[2] or 1))
