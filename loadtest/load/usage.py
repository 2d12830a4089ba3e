"""CPU and memory of the processes under test, those below them included."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import psutil

Pids = Callable[[], Iterable[int]]
"""The processes of a group, as they are now; what is below them belongs to it too."""


class Usage:
    """Of named groups of processes."""

    def __init__(self, groups: Mapping[str, Pids]) -> None:
        self._groups = groups

    def cpu(self) -> dict[str, float]:
        """Seconds so far, user and system; of processes that have ended, if their parent has collected them."""
        return {name: sum(map(_seconds, _family(pids()))) for name, pids in self._groups.items()}

    def memory(self) -> dict[str, float]:
        """Resident megabytes of all processes of a group; what they share is counted for each."""
        return {name: sum(map(_megabytes, _family(pids()))) for name, pids in self._groups.items()}


def services(home: Path) -> dict[str, Pids]:
    """Those of a sandbox, by the records of its daemons."""
    records = {name: home / "run" / f"{name}.json" for name in ("rabbitmq", "postgres", "redis")}
    return {name: partial(_recorded, record) for name, record in records.items()}


def _recorded(record: Path) -> list[int]:
    return [json.loads(record.read_text())["pid"]]


def _family(pids: Iterable[int]) -> Iterator[psutil.Process]:
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            yield from (process, *process.children(recursive=True))


def _seconds(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0


def _megabytes(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.NoSuchProcess):
        return float(process.memory_info().rss) / 1e6
    return 0.0
