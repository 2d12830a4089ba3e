"""Isolated children: whatever happens inside, a call ends in time with a value or a typed error, and leaves nothing."""

# ruff: noqa: ASYNC220, ASYNC240 (tests may look into /proc without a thread)

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from holdfast.adapters.isolation.pool import SubprocessIsolation
from holdfast.domain.errors import Rejected, TryLater
from holdfast.ports.isolation import CrashCause, IsolatedCrash, IsolatedTimeout

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


async def until(happened: Callable[[], bool], what: str, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        await asyncio.sleep(0.01)


async def numbers(file: Path) -> list[int]:
    await until(lambda: file.exists() and file.read_text() != "", f"the child writing {file.name}")
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
    began = time.monotonic()
    with pytest.raises(IsolatedTimeout, match=r"ran past its limit of 0\.5 s"):
        await call(isolation, "write_and_hang", timeout=0.5, file=str(tmp_path / "pid"))
    assert time.monotonic() - began < 3
    (pid,) = await numbers(tmp_path / "pid")
    assert gone(pid)
    assert await call(isolation, "echo", value=1) == 1


async def test_a_timeout_tells_computing_from_waiting(isolation: SubprocessIsolation) -> None:
    await call(isolation, "pid")
    with pytest.raises(IsolatedTimeout) as waited:
        await call(isolation, "write_and_hang", timeout=1, file=os.devnull)
    with pytest.raises(IsolatedTimeout, match="of which it computed") as computed:
        await call(isolation, "compute", timeout=1)
    assert waited.value.computed < 0.2 * computed.value.limit
    assert waited.value.computed < computed.value.computed <= 1.2 * computed.value.limit


async def test_a_timeout_kills_the_grandchildren_too(isolation: SubprocessIsolation, tmp_path: Path) -> None:
    with pytest.raises(IsolatedTimeout):
        await call(isolation, "hang_with_a_grandchild", timeout=1.5, file=str(tmp_path / "pids"))
    child, grandchild = await numbers(tmp_path / "pids")
    await until(lambda: gone(child) and gone(grandchild), "the end of child and grandchild")


async def test_a_crash_kills_the_grandchildren_too(isolation: SubprocessIsolation, tmp_path: Path) -> None:
    with pytest.raises(IsolatedCrash, match="SIGABRT"):
        await call(isolation, "abort_with_a_grandchild", file=str(tmp_path / "pid"))
    (grandchild,) = await numbers(tmp_path / "pid")
    await until(lambda: gone(grandchild), "the end of the grandchild")


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
    await until(lambda: gone(pid), "its death")
    assert await call(isolation, "pid") != pid


async def test_children_leave_no_files_and_no_descriptors(
    isolation: SubprocessIsolation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    await call(isolation, "echo", value=0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        with pytest.raises(IsolatedCrash):
            await call(isolation, "abort")
        await call(isolation, "echo", value=0)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    await isolation.close()
    assert list(tmp_path.iterdir()) == []


PARENT = """
import asyncio, datetime, sys
from holdfast.adapters.isolation.pool import SubprocessIsolation
asyncio.run(SubprocessIsolation().call(
    "isolation_targets:write_and_hang", {"file": sys.argv[1]}, timeout=datetime.timedelta(seconds=600), memory=2**29))
"""


async def test_a_killed_worker_takes_its_children_along(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}  # a killed worker leaves its children's folders behind
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path / "pid")], env=environ)
    (child,) = await numbers(tmp_path / "pid")
    assert not gone(child)
    parent.kill()
    parent.wait()
    await until(lambda: gone(child), "the death of the child")


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
