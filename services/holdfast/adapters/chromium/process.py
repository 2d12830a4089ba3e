"""One Chromium, as the worker sees it.

    started ──► talking ──► … ──► ended (SIGTERM to its supervisor, which kills the rest) ──► reaped, its folder removed

No thread, no SIGCHLD handler and no child watcher: the end of the supervisor is seen through a pidfd, so this works
on any event loop and beside Celery's own children.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

from holdfast.adapters.chromium.devtools import DevTools
from holdfast.adapters.chromium.flags import command
from holdfast.adapters.output import Output

_GRACE = 5.0
"""Seconds that the supervisor has to kill and reap the browser."""
_HANDED_DOWN = re.compile(r"PATH|LANG|LANGUAGE|LC_.*|TZ|PYTHONPATH|PYTHONHOME|LD_LIBRARY_PATH|FONTCONFIG_.*")
"""The environment that Chromium gets. Not ours: it holds passwords."""


class Chromium:
    """A running Chromium and its supervisor. `jobs` counts what it did."""

    def __init__(self, supervisor: subprocess.Popen[bytes], folder: Path, devtools: DevTools) -> None:
        self.devtools = devtools
        self.jobs = 0
        self._before = 0.0
        self._supervisor, self._folder = supervisor, folder
        self._output = Output(supervisor)
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def start(cls, program: str, memory: int) -> Chromium:
        """Start one; each of its processes may have `memory` bytes of data. Raises OSError."""
        folder = Path(tempfile.mkdtemp(prefix="holdfast-chromium-"))
        ours, theirs = socket.socketpair()
        with theirs:
            supervisor = _supervised(command(program, folder / "profile"), theirs, memory, folder)
        return cls(supervisor, folder, await DevTools.over(ours))

    @property
    def pid(self) -> int:
        """Of the supervisor, which is the parent of all others."""
        return self._supervisor.pid

    @property
    def last_words(self) -> str:
        """The end of what it wrote to its standard output and error."""
        return self._output.evidence()

    @property
    def apart(self) -> bool:
        """Whether it has a network namespace of its own."""
        try:
            return (Path("/proc") / str(self.pid) / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()
        except OSError:
            return False

    @property
    def computed(self) -> float:
        """Seconds of processor time that its processes took since `begin`."""
        return max(0.0, self._processor_time() - self._before)

    def begin(self) -> None:
        """A page begins."""
        self._before = self._processor_time()

    def resident(self) -> int:
        """Bytes of memory that its processes hold, what they share counted once."""
        return sum(_share(process) for process in self._processes())

    def _processor_time(self) -> float:
        total = 0.0
        for process in self._processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def _processes(self) -> list[psutil.Process]:
        try:
            return list(psutil.Process(self.pid).children(recursive=True))
        except psutil.Error:
            return []

    async def end(self) -> None:
        """Kill every process of it, reap, clean up."""
        self.devtools.close()
        try:
            self._signal(signal.SIGTERM)
            if not await self._ended(_GRACE):
                self._signal(signal.SIGKILL)
                await self._ended(_GRACE)
        finally:
            self._let_go()

    def _signal(self, number: signal.Signals) -> None:
        if self._supervisor.poll() is None:
            with suppress(ProcessLookupError):
                self._supervisor.send_signal(number)

    async def _ended(self, seconds: float) -> bool:
        if self._supervisor.poll() is not None:
            return True
        ended = asyncio.Event()
        pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(pidfd, ended.set)
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), seconds)
        finally:
            self._loop.remove_reader(pidfd)
            os.close(pidfd)
        return self._supervisor.poll() is not None

    def _let_go(self) -> None:
        self._output.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _supervised(argv: list[str], channel: socket.socket, memory: int, folder: Path) -> subprocess.Popen[bytes]:
    supervisor = [sys.executable, "-P", "-m", "holdfast.adapters.chromium.supervisor"]
    return subprocess.Popen(
        [*supervisor, str(channel.fileno()), str(os.getpid()), str(memory), str(folder), *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(channel.fileno(),),
        cwd=folder,
        env=_environment(folder),
        start_new_session=True,
    )


def _share(process: psutil.Process) -> int:
    """The proportional set size; the resident size where the kernel does not tell, 0 for one that has ended."""
    with suppress(psutil.NoSuchProcess):
        try:
            return int(process.memory_full_info().pss)
        except psutil.AccessDenied:
            return int(process.memory_info().rss)
    return 0


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if _HANDED_DOWN.fullmatch(name)}
    nowhere = {"DBUS_SESSION_BUS_ADDRESS": "disabled:", "DBUS_SYSTEM_BUS_ADDRESS": "disabled:"}
    return {**kept, **nowhere, "HOME": str(folder), "TMPDIR": str(folder), "XDG_CONFIG_HOME": str(folder)}
