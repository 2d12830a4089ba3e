"""A process that outlives the command which started it.

    stopped --start--> running --stop--> stopped        (stop signal, then SIGKILL after `grace` seconds)
                          `----kill----> stopped        (SIGKILL to the whole family)

Invariant: a signal goes only to processes whose identity (pid, start time, boot) was recorded at the start, to
their descendants, and to processes that carry the daemon's mark in their environment. A crash of the command
between start and record leaves a marked process, which the next `start` or `stop` still finds (Redis and
PostgreSQL excepted, which write their title over their environment).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import SandboxError
from .home import read_json, write_private
from .process import Identity, family, identify, marked, memory, send, wait_gone

MARK = "HOLDFAST_DAEMON"
LOG_LIMIT = 32 * 1024 * 1024
"""Bytes after which a log is set aside (one old log is kept) at the next start."""


@dataclass(frozen=True)
class Command:
    """What to run: the whole environment is given, nothing is inherited."""

    argv: Sequence[str]
    environ: Mapping[str, str]
    cwd: Path | None = None


class Daemon:
    """One background process with its pid file and its log."""

    def __init__(
        self, name: str, record: Path, log: Path, *, stop_signal: signal.Signals = signal.SIGTERM, grace: float = 30.0
    ) -> None:
        self.name = name
        self.log = log
        self._record = record
        self._stop_signal = stop_signal
        self._grace = grace
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, command: Command) -> Identity:
        """Start in a session of its own, input closed, output appended to the log."""
        self._sweep()
        self._set_old_log_aside()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                list(command.argv),
                env={**command.environ, MARK: str(self._record)},
                cwd=command.cwd or "/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        identity = self._identify(self._child)
        write_private(self._record, json.dumps(asdict(identity)))
        return identity

    def identity(self) -> Identity | None:
        """The running process, None when it is not running."""
        if self._child is not None:
            self._child.poll()  # reaps a dead child of this very command
        recorded = read_json(self._record, None)
        if recorded is None:
            return None
        identity = Identity(**recorded)
        return identity if identity.is_alive() else None

    def stop(self) -> bool:
        """End it gracefully; False if it was not running. Returns when the whole family is gone."""
        identity = self.identity()
        if identity is None:
            self._sweep()
            return False
        relatives = family(identity.pid)
        send([identity], self._stop_signal)
        if wait_gone([identity], self._grace):
            wait_gone(relatives, 1.0)
        self._end(relatives)
        return True

    def kill(self) -> bool:
        """SIGKILL the process and all its descendants at once, as a crash would; False if it was not running."""
        identity = self.identity()
        if identity is None:
            return False
        self._end(family(identity.pid))
        return True

    def memory(self) -> int:
        """Bytes used by the process and its descendants."""
        identity = self.identity()
        return memory(family(identity.pid)) if identity else 0

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 16384))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def _identify(self, child: subprocess.Popen[bytes]) -> Identity:
        identity = identify(child.pid)
        if identity is None:
            child.wait()
            raise SandboxError(
                f"{self.name} ended as soon as it started", f"its log {self.log} is below", evidence=self.log_tail()
            )
        return identity

    def _end(self, relatives: list[Identity]) -> None:
        send(relatives, signal.SIGKILL)
        wait_gone(relatives, 5.0)
        self._sweep()

    def _sweep(self) -> None:
        """End what an earlier start left behind, and forget the record."""
        left = marked(MARK, str(self._record))
        send(left, signal.SIGKILL)
        wait_gone(left, 5.0)
        if self._child is not None:
            self._child.poll()
        self._record.unlink(missing_ok=True)

    def _set_old_log_aside(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
