"""Daemons outlive their starter, end on demand, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from sandbox.daemon import Command, Daemon
from sandbox.process import Identity, family, identify, wait_gone

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)
PARENT = "import subprocess, time; subprocess.Popen(['sleep', '60']); print('two', flush=True); time.sleep(60)"


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon("test", tmp_path / "run" / "test.json", tmp_path / "log" / "test.log", grace=0.3)


def run(script: str) -> Command:
    return Command([sys.executable, "-c", script], {"PATH": os.environ["PATH"]})


def wait_for_log(daemon: Daemon, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in daemon.log_tail():
        assert time.monotonic() < deadline, f"log holds {daemon.log_tail()!r}"
        time.sleep(0.02)


def test_a_deaf_process_is_killed_after_the_grace(daemon: Daemon) -> None:
    identity = daemon.start(run(STUBBORN))
    wait_for_log(daemon, "deaf")
    assert daemon.stop()
    assert not identity.is_alive()
    assert daemon.identity() is None


def test_stop_ends_the_children_too(daemon: Daemon) -> None:
    identity = daemon.start(run(PARENT))
    wait_for_log(daemon, "two")
    relatives = family(identity.pid)
    assert len(relatives) == 2
    daemon.stop()
    assert not any(relative.is_alive() for relative in relatives)


def test_a_child_left_by_a_crash_is_ended_by_the_next_stop(daemon: Daemon) -> None:
    identity = daemon.start(run(PARENT))
    wait_for_log(daemon, "two")
    orphan = family(identity.pid)[1]
    os.kill(identity.pid, signal.SIGKILL)
    assert wait_gone([identity], 5)
    assert not daemon.stop(), "the process itself was already gone"
    assert not orphan.is_alive()


def test_a_record_of_a_recycled_pid_is_not_running_and_is_never_signalled(
    daemon: Daemon, tmp_path: Path, ended: list[subprocess.Popen[bytes]]
) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    ended.append(stranger)
    identity = identify(stranger.pid)
    assert identity is not None
    record = tmp_path / "run" / "test.json"
    record.parent.mkdir()
    record.write_text(json.dumps(asdict(replace(identity, started=identity.started - 100))))
    assert daemon.identity() is None
    assert not daemon.stop()
    assert not daemon.kill()
    assert stranger.poll() is None


def test_a_daemon_outlives_the_command_that_started_it(daemon: Daemon, tmp_path: Path) -> None:
    record, log = tmp_path / "run" / "test.json", tmp_path / "log" / "test.log"
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2] / 'infra')!r})\n"
        "from pathlib import Path; from sandbox.daemon import Command, Daemon\n"
        f"daemon = Daemon('test', Path({str(record)!r}), Path({str(log)!r}))\n"
        "daemon.start(Command(['/bin/sleep', '60'], {}))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    identity = daemon.identity()
    assert isinstance(identity, Identity)
    assert os.getsid(identity.pid) == identity.pid
    assert daemon.stop()
