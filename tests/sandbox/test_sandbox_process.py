"""A pid alone proves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from harness import eventually
from sandbox.process import family, identify, marked, send, wait_gone


def sleeper(**environ: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, **environ})


def test_a_recycled_pid_is_not_the_process_and_gets_no_signal(ended: list[subprocess.Popen[bytes]]) -> None:
    ended.append(child := sleeper())
    identity = identify(child.pid)
    assert identity is not None
    assert identity.is_alive()
    earlier = replace(identity, started=identity.started - 1)
    assert not earlier.is_alive()
    send([earlier, replace(identity, boot="another boot")], signal.SIGKILL)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.2)


def test_a_zombie_counts_as_ended(ended: list[subprocess.Popen[bytes]]) -> None:
    ended.append(child := sleeper())
    identity = identify(child.pid)
    assert identity is not None
    os.kill(child.pid, signal.SIGKILL)
    assert wait_gone([identity], 5), "still alive 5 s after SIGKILL"
    assert child.returncode is None, "nobody has reaped it: it is a zombie"


def test_the_family_is_the_process_and_its_descendants(ended: list[subprocess.Popen[bytes]]) -> None:
    script = "import subprocess, sys; c = subprocess.Popen(['sleep', '60']); print(c.pid, flush=True); c.wait()"
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    ended.append(child)
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    relatives = family(child.pid)
    assert [identity.pid for identity in relatives] == [child.pid, grandchild]
    send(relatives, signal.SIGKILL)
    assert wait_gone(relatives, 5)
    child.stdout.close()


def test_a_process_is_found_by_the_mark_in_its_environment(ended: list[subprocess.Popen[bytes]]) -> None:
    ended.append(child := sleeper(HOLDFAST_TEST_MARK="a b"))
    ended.append(sleeper(HOLDFAST_TEST_MARK="a"))
    # In the middle of its exec a process has no environment.
    found = eventually(lambda: marked("HOLDFAST_TEST_MARK", "a b"))
    assert [identity.pid for identity in found] == [child.pid]
