"""A look every half a second: CPU and memory of each process, and how many jobs wait."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import psutil

from .usage import Usage

EVERY = 0.5
Figures = dict[str, Any]


class Watch:
    """Looks while it is entered; the generator is watched like what is under test."""

    def __init__(self, usage: Usage, backlog: Callable[[], int]) -> None:
        self._usage, self._backlog = usage, backlog
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)
        self.looks: list[Figures] = []
        """`at` in seconds since the epoch, `cpu` in cores, `memory` in MB, `waiting` in jobs."""

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        before, last = self._usage.cpu(), time.time()
        while not self._over.wait(EVERY):
            now, at = self._usage.cpu(), time.time()
            cores = {name: round(max(0.0, now[name] - before[name]) / (at - last), 3) for name in now}
            memory = {name: round(value, 1) for name, value in self._usage.memory().items()}
            self.looks.append({"at": at, "cpu": cores, "memory": memory, "waiting": self._backlog()})
            before, last = now, at


def generators() -> list[int]:
    """Whoever sends: k6, or `callers`."""
    found = list[int]()
    for child in psutil.Process(os.getpid()).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.name() == "k6" or any(word.startswith("callers.") for word in child.cmdline()):
                found.append(child.pid)
    return found


def summary(looks: list[Figures]) -> Figures:
    """Mean cores and most memory of each, and the longest backlog."""
    names = looks[0]["cpu"] if looks else {}
    return {
        "cores": {name: round(sum(look["cpu"][name] for look in looks) / len(looks), 2) for name in names},
        "memory MB": {name: round(max(look["memory"][name] for look in looks)) for name in names},
        "most waiting": max((look["waiting"] for look in looks), default=0),
    }
