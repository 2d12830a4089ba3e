"""Isolated children: whatever happens inside, a call ends in time with a value or a typed error, and leaves nothing."""

# ruff: noqa: ASYNC220, ASYNC240 (tests may look into /proc without a thread)

from __future__ import annotations

import asyncio
import gc
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import soon
from holdfast.adapters.isolation.folders import sweep
from holdfast.adapters.isolation.pool import SubprocessIsolation
from holdfast.domain.errors import Rejected, TryLater
from holdfast.ports.isolation import CrashCause, IsolatedCrash, IsolatedTimeout
from holdfast.ports.limits import Limits

MIB = 1024 * 1024
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _targets_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))


@pytest.fixture
async def isolation() -> AsyncIterator[SubprocessIsolation]:
    isolation = SubprocessIsolation(max_children=2)
    yield isolation
    await isolation.close()


async def call(
    isolation: SubprocessIsolation, name: str, timeout: float = 20, memory: int = 512 * MIB, **request: Any
) -> Any:
    return await isolation.call(f"isolation_targets:{name}", request, timeout=timedelta(seconds=timeout), memory=memory)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


async def numbers(file: Path) -> list[int]:
    await soon(lambda: file.exists() and file.read_text() != "")
    return [int(number) for number in file.read_text().split()]


async def test_values_come_back_as_they_were(isolation: SubprocessIsolation) -> None:
    value = {"bytes": b"\x00\xff" * 4_000_000, "text": "é", "list": [1, 2.5, None, True], "tuple": (1,), "set": {1}}
    assert await call(isolation, "echo", value=value) == value


async def test_a_child_is_warm_the_second_time(isolation: SubprocessIsolation) -> None:
    first = await call(isolation, "pid")
    assert await call(isolation, "pid") == first != os.getpid()


async def test_a_child_starts_light_and_shielded(
    isolation: SubprocessIsolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_SIGNING_KEY", "secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    child = await call(isolation, "describe")
    assert child["loaded"] == []
    assert child["core"] == "0"
    assert child["oom"] == 700
    assert child["session"]
    assert "secret" not in child["environ"].values()
    assert Path(child["environ"]["TMPDIR"]).is_relative_to(tempfile.gettempdir())


async def test_a_hanging_call_is_killed_in_time(isolation: SubprocessIsolation, tmp_path: Path) -> None:
    await call(isolation, "pid")  # the start of a child takes as long as it takes
    began = time.monotonic()
    with pytest.raises(IsolatedTimeout, match=r"ran past its limit of 2\.5 s"):
        await call(isolation, "write_and_hang", timeout=2.5, file=str(tmp_path / "pid"))
    assert time.monotonic() - began < 60
    (pid,) = await numbers(tmp_path / "pid")
    assert gone(pid)
    assert await call(isolation, "echo", value=1) == 1


async def test_a_timeout_tells_computing_from_waiting(isolation: SubprocessIsolation) -> None:
    await call(isolation, "pid")
    with pytest.raises(IsolatedTimeout) as waited:
        await call(isolation, "write_and_hang", timeout=1, file=os.devnull)
    began = time.monotonic()
    with pytest.raises(IsolatedTimeout, match="of which it computed") as computed:
        await call(isolation, "compute", timeout=3)
    took = timedelta(seconds=time.monotonic() - began)
    assert waited.value.computed < 0.2 * computed.value.limit
    assert waited.value.computed < computed.value.computed <= took + timedelta(seconds=0.2)


async def test_a_timeout_kills_the_grandchildren_too(isolation: SubprocessIsolation, tmp_path: Path) -> None:
    await call(isolation, "pid")
    with pytest.raises(IsolatedTimeout):
        await call(isolation, "hang_with_a_grandchild", timeout=4, file=str(tmp_path / "pids"))
    child, grandchild = await numbers(tmp_path / "pids")
    await soon(lambda: gone(child) and gone(grandchild))


async def test_a_crash_kills_the_grandchildren_too(isolation: SubprocessIsolation, tmp_path: Path) -> None:
    with pytest.raises(IsolatedCrash, match="SIGABRT"):
        await call(isolation, "abort_with_a_grandchild", file=str(tmp_path / "pid"))
    (grandchild,) = await numbers(tmp_path / "pid")
    await soon(lambda: gone(grandchild))


@pytest.mark.parametrize(
    ("name", "cause", "message"),
    [
        ("abort", CrashCause.SIGNAL, "died of SIGABRT"),
        ("segfault", CrashCause.SIGNAL, "died of SIGSEGV"),
        ("quit_quietly", CrashCause.SIGNAL, "status 3"),
        ("kill_from_outside", CrashCause.KILLED, "killed from outside"),
        ("memory_bomb", CrashCause.MEMORY, "ran out of its memory limit of 512 MiB"),
        ("native_memory_bomb", CrashCause.MEMORY, "ran out of its memory limit of 512 MiB"),
        ("surprise", CrashCause.SURPRISE, "ZeroDivisionError: nobody thought of this"),
        ("not_there", CrashCause.SURPRISE, "AttributeError"),
    ],
)
async def test_a_crash_says_what_it_died_of(
    isolation: SubprocessIsolation, name: str, cause: CrashCause, message: str
) -> None:
    with pytest.raises(IsolatedCrash, match=message) as caught:
        await call(isolation, name)
    assert caught.value.cause is cause
    assert await call(isolation, "echo", value="next") == "next"


async def test_the_last_words_of_a_crash_are_kept_as_evidence(isolation: SubprocessIsolation) -> None:
    with pytest.raises(IsolatedCrash) as caught:
        await call(isolation, "abort")
    assert "a stray word before the end" in caught.value.evidence


async def test_stray_prints_neither_garble_the_answer_nor_block_the_child(isolation: SubprocessIsolation) -> None:
    assert await call(isolation, "chatter") == 7


async def test_handler_errors_come_through(isolation: SubprocessIsolation) -> None:
    before = await call(isolation, "pid")
    with pytest.raises(Rejected, match="the picture is not one") as rejected:
        await call(isolation, "reject")
    assert rejected.value.error == "NotAnImage"
    with pytest.raises(TryLater) as later:
        await call(isolation, "try_later")
    assert (later.value.error, later.value.after) == ("Busy", timedelta(seconds=9))
    assert await call(isolation, "pid") == before, "an error on purpose must not cost the child"


async def test_an_answer_that_would_run_code_in_the_worker_is_refused(
    isolation: SubprocessIsolation, tmp_path: Path
) -> None:
    mark = tmp_path / "the worker ran what the child sent"
    with pytest.raises(IsolatedCrash, match="plain data"):
        await call(isolation, "hostile_answer", file=str(mark))
    assert not mark.exists()


def framed(body: bytes, claim: int | None = None) -> bytes:
    return struct.pack(">Q", len(body) if claim is None else claim) + body


FORGED = {
    "a memo of 2³² places": framed(b"\x80\x05Nr\xff\xff\xff\xff."),
    "lists that double forty times": framed(b"\x80\x05](" + b"]\x94h\x00h\x00e" * 40 + b"."),
    "a global": framed(b"\x80\x05cos\nsystem\nX\x04\x00\x00\x00trueR."),
    "a persistent name": framed(b"\x80\x05Pname\n."),
    "an extension": framed(b"\x80\x05\x82\x01."),
    "a buffer from elsewhere": framed(b"\x80\x05\x97."),
    "a text of 2⁶³ bytes": framed(b"\x80\x05\x8d" + b"\xff" * 7 + b"\x7f."),
    "two million nothings": framed(b"\x80\x05(" + b"N" * 2_000_000 + b"t."),
    "nothing": framed(b""),
    "an answer that nobody asked for": framed(b"\x80\x05\x8c\x05valueN\x86."),
    "a length of 2⁶⁴ − 1": framed(b"", claim=2**64 - 1),
    "a length of 1 GiB": framed(b"", claim=2**30),
}


@pytest.mark.parametrize("frame", FORGED.values(), ids=FORGED)
async def test_a_forged_answer_costs_the_worker_nothing(isolation: SubprocessIsolation, frame: bytes) -> None:
    before = psutil.Process().memory_info().rss
    with pytest.raises(IsolatedCrash) as caught:
        await call(isolation, "forge", frame=frame)
    assert caught.value.cause is CrashCause.SURPRISE
    assert psutil.Process().memory_info().rss - before < 64 * MIB
    assert await call(isolation, "echo", value="next") == "next"


async def test_a_child_has_no_network_and_cannot_leave_its_group(isolation: SubprocessIsolation) -> None:
    assert set((await call(isolation, "reach_out")).items()) == {
        *((way, "PermissionError") for way in ("tcp", "tcp6", "udp", "unix", "netlink", "name", "io_uring", "session")),
        *((way, "PermissionError") for way in ("group", "trace", "namespace", "clone with a namespace")),
        *((way, "CalledProcessError") for way in ("program",)),
        *((way, "PermissionError") for way in ("program in a session",)),
    }
    assert await call(isolation, "still_works") == [b"x", "7"]


async def test_files_and_answers_of_a_child_are_capped() -> None:
    limits = Limits(answer_bytes=MIB, child_file_bytes=4 * MIB, child_open_files=64)
    isolation = SubprocessIsolation(max_children=1, limits=limits)
    pid = await call(isolation, "pid")
    await call(isolation, "write_much", size=4 * MIB)
    with pytest.raises(IsolatedCrash, match="File too large"):
        await call(isolation, "write_much", size=5 * MIB)
    with pytest.raises(IsolatedCrash, match="Too many open files"):
        await call(isolation, "open_many", count=64)
    pid = await call(isolation, "pid")
    assert len(await call(isolation, "say_much", size=MIB - 100)) == MIB - 100
    with pytest.raises(Rejected, match="at most 1048576 are taken") as refused:
        await call(isolation, "say_much", size=2 * MIB)
    assert refused.value.error == "AnswerTooLarge"
    assert await call(isolation, "pid") == pid, "an answer that is too large must not cost the child"
    await isolation.close()


async def test_a_cancelled_call_kills_its_child(isolation: SubprocessIsolation, tmp_path: Path) -> None:
    task = asyncio.create_task(call(isolation, "write_and_hang", file=str(tmp_path / "pid")))
    (pid,) = await numbers(tmp_path / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert gone(pid)


async def test_a_child_is_replaced_after_its_number_of_calls() -> None:
    isolation = SubprocessIsolation(max_children=1, recycle_after=2)
    pids = [await call(isolation, "pid") for _ in range(4)]
    await isolation.close()
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_a_child_that_has_grown_is_replaced() -> None:
    isolation = SubprocessIsolation(max_children=1, recycle_resident=60 * MIB)
    first = await call(isolation, "grow")
    assert await call(isolation, "pid") != first
    await isolation.close()


async def test_no_more_children_than_allowed_and_none_after_close(tmp_path: Path) -> None:
    isolation = SubprocessIsolation(max_children=2)
    pids = await asyncio.gather(*(call(isolation, "pid") for _ in range(8)))
    assert len(set(pids)) <= 2
    hanging = asyncio.create_task(call(isolation, "write_and_hang", file=str(tmp_path / "pid")))
    await numbers(tmp_path / "pid")
    await isolation.close()
    with pytest.raises(IsolatedCrash):
        await hanging
    assert all(gone(pid) for pid in pids)


async def test_an_idle_child_that_died_is_replaced(isolation: SubprocessIsolation) -> None:
    pid = await call(isolation, "pid")
    os.kill(pid, signal.SIGKILL)
    await soon(lambda: gone(pid))
    assert await call(isolation, "pid") != pid


async def test_children_leave_no_files_and_no_descriptors(
    isolation: SubprocessIsolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    await call(isolation, "echo", value=0)
    gc.collect()  # what tests before left open
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(IsolatedCrash):
            await call(isolation, "abort")
        await call(isolation, "echo", value=0)
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
    await isolation.close()
    assert list(tmp_path.iterdir()) == []


PARENT = """
import asyncio, datetime, sys
from holdfast.adapters.isolation.folders import sweep
from holdfast.adapters.isolation.pool import SubprocessIsolation
asyncio.run(SubprocessIsolation().call(
    "isolation_targets:write_and_hang", {"file": sys.argv[1]}, timeout=datetime.timedelta(seconds=600), memory=2**29))
"""


async def test_a_killed_worker_takes_its_children_along(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "pid")], env=environ)
    (child,) = await numbers(tmp_path / "pid")
    assert not gone(child)
    parent.kill()
    parent.wait()
    await soon(lambda: gone(child))


async def test_the_folders_of_a_killed_worker_are_swept_and_those_of_living_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    workers = [
        subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / f"pid{number}")], env=environ)
        for number in (0, 1)
    ]
    for number in (0, 1):
        await numbers(tmp_path / f"pid{number}")
    killed, living = workers
    killed.kill()
    killed.wait()
    folders = set(tmp_path.glob("holdfast-child-*"))
    assert len(folders) == 2
    sweep()
    assert set(tmp_path.glob("holdfast-child-*")) == folders, "a young folder may be about to be locked"
    for folder in folders:
        os.utime(folder, (0, 0))
    isolation = SubprocessIsolation(max_children=1)
    await call(isolation, "pid")
    left = set(tmp_path.glob("holdfast-child-*")) & folders
    await isolation.close()
    living.kill()
    living.wait()
    assert len(left) == 1


INSPECTED = """
import ctypes, os, sys
from holdfast.adapters.isolation.lockdown import refuse_inspection
if os.getuid() == 0:
    os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # a process that changed its user is closed already
if sys.argv[1] == "closed":
    refuse_inspection()
if os.fork() == 0:
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
    try:
        open(f"/proc/{os.getppid()}/environ").read()
        print("read", flush=True)
    except PermissionError:
        print("refused", flush=True)
    os._exit(0)
os.wait()
"""


def test_a_workers_environment_cannot_be_read_by_its_children() -> None:
    """A child has the worker's user. (Root may read everything, so as root the test becomes somebody else.)"""
    said = [
        subprocess.run(
            [sys.executable, "-c", INSPECTED, how], capture_output=True, text=True, check=True
        ).stdout.strip()
        for how in ("open", "closed")
    ]
    assert said == ["read", "refused"]


def test_it_works_on_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        isolation = SubprocessIsolation(max_children=1)
        assert await call(isolation, "echo", value=b"x" * 3_000_000) == b"x" * 3_000_000
        with pytest.raises(IsolatedTimeout):
            await call(isolation, "write_and_hang", timeout=0.5, file=os.devnull)
        with pytest.raises(IsolatedCrash, match="SIGABRT"):
            await call(isolation, "abort")
        await isolation.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
