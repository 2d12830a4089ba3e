"""Which process is it, really? A pid alone is not an answer: pids are recycled.

Invariant: a process is ours only if pid, start time and boot are the ones written down when it started.
All facts come from /proc (proc(5)).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_DEAD_STATES = "ZX"


@dataclass(frozen=True)
class Identity:
    """One process of one boot; `started` is in clock ticks since that boot (field 22 of /proc/<pid>/stat)."""

    pid: int
    started: int
    boot: str

    def is_alive(self) -> bool:
        """False for a process that ended, is a zombie, or whose pid now belongs to another."""
        return identify(self.pid) == self


@dataclass(frozen=True)
class _Stat:
    state: str
    parent: int
    started: int


def identify(pid: int) -> Identity | None:
    """The identity of a living process, None when there is none."""
    stat = _stat(pid)
    if stat is None or stat.state in _DEAD_STATES:
        return None
    return Identity(pid, stat.started, _boot())


def family(pid: int) -> list[Identity]:
    """The process and all its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for other in _pids():
        stat = _stat(other)
        if stat is not None:
            children.setdefault(stat.parent, []).append(other)
    found, queue = [], [pid]
    while queue:
        current = queue.pop(0)
        queue += children.get(current, [])
        identity = identify(current)
        if identity is not None:
            found.append(identity)
    return found


def marked(variable: str, value: str) -> list[Identity]:
    """All processes that were started with `variable=value` in their environment.

    Only those that we may look into, and that have not written their title over it, as Redis and PostgreSQL do.
    """
    needle = f"{variable}={value}".encode()
    found = []
    for pid in _pids():
        with suppress(OSError):
            if needle in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                identity = identify(pid)
                if identity is not None:
                    found.append(identity)
    return found


def memory(processes: Iterable[Identity]) -> int:
    """Bytes in use: the proportional set size, which counts shared pages once; resident size where that is hidden."""
    return sum(_memory(process.pid) for process in processes)


def send(processes: Iterable[Identity], number: signal.Signals) -> None:
    """Signal each one that is still the process it was."""
    for process in processes:
        if process.is_alive():
            with suppress(ProcessLookupError):
                os.kill(process.pid, number)


def wait_gone(processes: Iterable[Identity], seconds: float) -> bool:
    """Wait until all have ended; False if some have not after `seconds`."""
    deadline = time.monotonic() + seconds
    waiting = list(processes)
    while waiting := [process for process in waiting if process.is_alive()]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name in brackets may itself hold blanks and brackets
    return _Stat(state=fields[0], parent=int(fields[1]), started=int(fields[19]))


def _memory(pid: int) -> int:
    with suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError):
        resident = int((_PROC / str(pid) / "statm").read_text().split()[1])
        return resident * os.sysconf("SC_PAGE_SIZE")
    return 0


def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
