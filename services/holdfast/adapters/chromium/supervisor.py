"""Between the worker and Chromium: `python -m … <socket> <parent's pid> <bytes of data> <folder> <argv…>`.

Invariant: when this process ends, every process of the browser has ended and was reaped. It gets SIGTERM when its
parent dies (PR_SET_PDEATHSIG) or wants the browser gone, and SIGCHLD when the browser fell over; either way it
kills the browser's process group and waits until it has no descendants left. Orphans become its children
(PR_SET_CHILD_SUBREAPER), so no zombie is left to a container that has no init. Should it be killed itself, the
browser's main process dies of its own PR_SET_PDEATHSIG and the others of their lost connection to that.

It starts the browser in a network namespace of its own where the kernel allows one: there is no interface in it,
so there is nowhere to connect to, whatever the browser is talked into.

Standard library only.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNET, _CLONE_NEWUSER, _CLONE_NEWPID = 0x40000000, 0x10000000, 0x20000000
_OOM_SCORE = "700"
_READS, _WRITES = 3, 4
"""The descriptors that `--remote-debugging-pipe` uses; one socket serves as both."""
_WATCHED = {signal.SIGTERM, signal.SIGCHLD}


def main(channel: int, parent: int, memory: int, folder: Path, argv: list[str]) -> int:
    """Run the browser until it ends or has to; then remove the folder that it wrote to."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we could ask for the signal
        return 0
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _leave_the_network()
    if not _can_shut_in():
        argv = [*argv, "--no-sandbox"]
    browser = os.fork()
    if browser == 0:
        _become(channel, memory, argv)
    os.close(channel)
    status = _wait(browser)
    _end(browser)
    shutil.rmtree(folder, ignore_errors=True)
    return os.waitstatus_to_exitcode(status) if status is not None else 0


def _leave_the_network() -> None:
    """Root needs CAP_SYS_ADMIN, others a user namespace; containers often grant neither."""
    if _libc.unshare(_CLONE_NEWNET) == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")


def _can_shut_in() -> bool:
    """Whether Chromium's own sandbox can work: it refuses to as root, and needs namespaces otherwise."""
    if os.geteuid() == 0:
        return False
    probe = os.fork()
    if probe == 0:
        os._exit(0 if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWPID | _CLONE_NEWNET) == 0 else 1)
    return os.waitpid(probe, 0)[1] == 0


def _become(channel: int, memory: int, argv: list[str]) -> None:
    """In the child: the browser."""
    try:
        os.setpgid(0, 0)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        # Not the address space, of which V8 reserves terabytes; what is private and writable counts.
        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
        clear = fcntl.fcntl(channel, fcntl.F_DUPFD, _WRITES + 1)
        os.dup2(clear, _READS)
        os.dup2(clear, _WRITES)
        os.close(clear)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WATCHED)
        os.execv(argv[0], argv)  # noqa: S606
    except OSError as error:
        os.write(sys.stderr.fileno(), f"{argv[0]} cannot be run: {error.strerror}\n".encode())
    finally:
        os._exit(127)


def _wait(browser: int) -> int | None:
    """Until the browser has ended (its status) or has to (None)."""
    while True:
        if signal.sigwait(_WATCHED) == signal.SIGTERM:
            return None
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == browser:
                    return ended[1]


def _end(browser: int) -> None:
    """Kill what is left, and reap it, until there is nothing left."""
    while True:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(browser, signal.SIGKILL)
        for child in _children():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN; the group has to do
        return []


_libc = ctypes.CDLL(None, use_errno=True)

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:]) & 0xFF)
