"""One isolated child, as the worker sees it.

    started ──ask──► busy ──answer──► idle ──ask──► …
       │              │ timeout, cancellation, crash, a broken answer
       └──────────────┴──► killed (SIGKILL to its whole session) ──► reaped

Sockets, pipes and `poll` only, all of them non-blocking: no thread, no SIGCHLD handler, no child watcher, so it
works on any event loop and beside Celery's own children. (asyncio's subprocesses take a thread a child on Python 3.11.)
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from holdfast.adapters.isolation import frames
from holdfast.adapters.isolation.folders import Folder
from holdfast.adapters.output import Output
from holdfast.ports.isolation import CrashCause, IsolatedCrash

_SLACK = 64 * 1024
"""Bytes that an answer may have past its limit: those that report an error count on it."""
_HANDED_DOWN = re.compile(
    r"PATH|HOME|USER|LANG|LANGUAGE|LC_.*|TZ|PYTHONPATH|PYTHONHOME|LD_LIBRARY_PATH|LD_PRELOAD"
    r"|FONTCONFIG_.*|XDG_.*|PANGO_.*|VIPS_.*|MALLOC_.*|SOURCE_DATE_EPOCH"
)
"""The environment that a child gets. Not ours: it holds passwords, and a child may be taken over by what it reads."""
_NO_MEMORY = re.compile(rb"memoryerror|out of memory|bad_alloc|(?:failed|unable|cannot|can't) (?:to )?allocate", re.I)
_OWN_FALL = {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS}


class Child:
    """A running child. `calls` counts its answers; `resident` is its RSS in bytes after the last one."""

    def __init__(self, caps: frames.Caps) -> None:
        self._caps = caps
        self.modules: set[str] = set()
        self.calls = 0
        self.resident = 0
        self._loop = asyncio.get_running_loop()
        self._folder = Folder()
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "holdfast.adapters.isolation.child",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                cwd=self._folder.path,
                env=self._environment(),
                start_new_session=True,
            )
        self._socket.setblocking(False)
        self._output = Output(self._process)

    @property
    def pid(self) -> int:
        """Also the id of its session and process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """False once it has ended by itself."""
        return self._process.poll() is None

    async def ask(self, target: str, request: Mapping[str, Any], memory: int) -> tuple[Any, ...]:
        """One call. Raises IsolatedCrash when the child dies first or does not answer in plain data."""
        self.modules.add(target.partition(":")[0])
        asked = frames.Request(target, dict(request), memory, self._caps)
        try:
            await self._loop.sock_sendall(self._socket, frames.pack_request(asked))
            body = await self._receive()
        except (ConnectionError, EOFError):
            raise await self._post_mortem(memory) from None
        try:
            answer = frames.unpack_answer(body)
        except Exception as error:
            raise IsolatedCrash(
                f"{target} did not answer in plain data", cause=CrashCause.SURPRISE, evidence=str(error)
            ) from error
        self.calls += 1
        self.resident = answer[-1]
        return answer

    @property
    def confined(self) -> bool:
        """Whether the kernel keeps it from what `lockdown` lists: from its first answer on, where that is possible."""
        with suppress(OSError):
            return "\nSeccomp:\t2" in Path(f"/proc/{self._process.pid}/status").read_text()
        return True  # it is gone, and so is the question

    @property
    def computed(self) -> float:
        """Seconds of processor time that it and the children it has reaped took since its start; 0 once it is gone."""
        try:
            times = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system + times.children_user + times.children_system)

    def kill(self) -> None:
        """SIGKILL the whole group, at once and without waiting."""
        if self._process.returncode is None:  # not reaped yet, so the number is still its own
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Kill, reap and clean up."""
        self.kill()
        try:
            await self._reaped(5.0)
        finally:
            self._let_go()

    async def _receive(self) -> bytearray:
        (size,) = frames.HEADER.unpack(await self._receive_exactly(frames.HEADER.size))
        if size > self._caps.answer_bytes + _SLACK:  # the child knows its limit, so this one lies
            raise IsolatedCrash(f"the answer has {size} bytes, too many to read", cause=CrashCause.SURPRISE)
        return await self._receive_exactly(size)

    async def _receive_exactly(self, size: int) -> bytearray:
        body = bytearray(size)
        view, done = memoryview(body), 0
        while done < size:
            count = await self._loop.sock_recv_into(self._socket, view[done:])
            if not count:
                raise EOFError
            done += count
        return body

    async def _post_mortem(self, memory: int) -> IsolatedCrash:
        """Say why the child is gone. It hung up, so it is dead or about to be."""
        await self._until_dead(2.0)
        self.kill()  # what it may have started; before the reaping, while the group's number is still its own
        await self._reaped(5.0)
        evidence, code = self._output.evidence(), self._process.returncode or 0
        if _NO_MEMORY.search(self._output.end()):
            return out_of_memory(memory, evidence)
        if code >= 0:
            return IsolatedCrash(f"the process quit (status {code})", cause=CrashCause.SIGNAL, evidence=evidence)
        number = signal.Signals(-code)
        if number in _OWN_FALL:
            return IsolatedCrash(f"the process died of {number.name}", cause=CrashCause.SIGNAL, evidence=evidence)
        return IsolatedCrash(
            f"the process was killed from outside ({number.name}), most likely because the machine ran out of memory",
            cause=CrashCause.KILLED,
            evidence=evidence,
        )

    async def _reaped(self, seconds: float) -> None:
        """Wait until the process has ended and been reaped; a SIGKILL takes as long as its memory takes to be freed."""
        await until(lambda: self._process.poll() is not None, seconds)

    async def _until_dead(self, seconds: float) -> None:
        """Wait for the death without reaping."""
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        with suppress(ChildProcessError):
            await until(lambda: os.waitid(os.P_PID, self._process.pid, flags) is not None, seconds)

    def _let_go(self) -> None:
        self._output.close()
        self._socket.close()
        self._folder.remove()

    def _environment(self) -> dict[str, str]:
        """One malloc arena (each takes 64 MiB of the address space) and a folder for temporary files that we remove."""
        kept = {name: value for name, value in os.environ.items() if _HANDED_DOWN.fullmatch(name)}
        return {"MALLOC_ARENA_MAX": "2", **kept, "TMPDIR": str(self._folder.path)}


async def until(happened: Callable[[], bool], seconds: float) -> None:
    """Look again and again, first after 1 ms and at last every 50 ms."""
    pause, waited = 0.001, 0.0
    while not happened() and waited < seconds:
        await asyncio.sleep(pause)
        waited, pause = waited + pause, min(pause * 2, 0.05)


def out_of_memory(memory: int, evidence: str) -> IsolatedCrash:
    """The child met its limit."""
    return IsolatedCrash(
        f"the process ran out of its memory limit of {memory // 1024**2} MiB",
        cause=CrashCause.MEMORY,
        error="MemoryLimit",
        evidence=evidence,
    )
