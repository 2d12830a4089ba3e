"""Holdfast's own processes as daemons, with a stand-in for the `holdfast` command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import envfile, platform
from sandbox.errors import SandboxError
from sandbox.home import Home
from sandbox.platform import Member, Platform

Cli = Callable[..., subprocess.CompletedProcess[str]]

HOLDFAST = f"""#!{sys.executable}
import http.server, os, pathlib, sys, time
print("started", sys.argv[1:], flush=True)
if sys.argv[1] == "api":
    class Api(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(os.environ["HOLDFAST_REDIS_URL"].encode())
        def log_message(self, *_): pass
    http.server.HTTPServer(("127.0.0.1", int(os.environ["HOLDFAST_API_PORT"])), Api).serve_forever()
if os.environ.get("BROKEN") == sys.argv[2]:
    sys.exit("no such broker")
pathlib.Path(os.environ["HOLDFAST_WORKER_READY_FILE"]).touch()
time.sleep(60)
"""


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    program = tmp_path / "venv" / "bin" / "holdfast"
    program.parent.mkdir(parents=True)
    program.write_text(HOLDFAST)
    program.chmod(0o755)
    return tmp_path / "venv"


@pytest.fixture
def running(home: Home, venv: Path) -> Iterator[Platform]:
    envfile.update(home.env_file, {"HOLDFAST_REDIS_URL": "redis://127.0.0.1:6/0"})
    found = Platform(home, venv)
    yield found
    found.down()


def test_up_waits_until_the_api_and_the_workers_are_ready(running: Platform, home: Home) -> None:
    running.up({"worker-webhook": 2})
    assert [(name, state) for name, state, _pid, _memory in running.status()] == [
        ("api", "up"),
        ("worker-render", "up"),
        ("worker-webhook", "up"),
        ("worker-webhook-2", "up"),
    ]
    address = envfile.read(home.env_file)["HOLDFAST_API_URL"]
    with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:
        assert answer.read() == b"redis://127.0.0.1:6/0"
    targets = json.loads((home.etc("prometheus") / "targets" / "api.json").read_text())
    assert targets == [{"targets": [address.removeprefix("http://")], "labels": {"service": "api"}}]


def test_up_again_leaves_what_runs_alone_and_restarts_what_died(running: Platform) -> None:
    running.up({})
    before = {name: pid for name, _state, pid, _memory in running.status()}
    running.kill(Member("worker-render"))
    running.up({})
    after = {name: pid for name, _state, pid, _memory in running.status()}
    assert {name for name in before if before[name] != after[name]} == {"worker-render"}


def test_scaling_down_stops_the_surplus(running: Platform) -> None:
    running.up({"worker-webhook": 3})
    running.up({"worker-webhook": 1})
    assert [name for name, *_ in running.status()] == ["api", "worker-render", "worker-webhook"]


def test_down_ends_all_of_them_and_the_scrape_target(running: Platform, home: Home) -> None:
    running.up({})
    pids = [pid for _name, _state, pid, _memory in running.status() if pid]
    running.down()
    assert {state for _name, state, _pid, _memory in running.status()} == {"down"}
    assert not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)
    assert json.loads((home.etc("prometheus") / "targets" / "api.json").read_text()) == []


def test_a_worker_that_dies_at_the_start_shows_the_end_of_its_log(
    running: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", "webhook")
    with pytest.raises(SandboxError, match=r"(?s)Worker-webhook did not start. It ended.*no such broker"):
        running.up({})


def test_a_process_that_never_gets_ready_is_reported(running: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "READY_SECONDS", 0.0)
    with pytest.raises(SandboxError, match="Not ready within 0 s"):
        running.up({})


def test_a_missing_venv_says_how_to_make_it(cli: Cli, home: Home, tmp_path: Path) -> None:
    result = cli("platform", "up", "--venv", str(tmp_path / "none"))
    assert result.returncode == 2
    assert "python3 infra/sandbox venv" in result.stderr


def test_the_commands_work_from_the_shell(cli: Cli, home: Home, venv: Path) -> None:
    envfile.update(home.env_file, {"HOLDFAST_REDIS_URL": "redis://127.0.0.1:6/0"})
    up = cli("platform", "up", "--venv", str(venv), "--scale", "worker-webhook=2")
    try:
        assert up.returncode == 0, up.stderr
        assert cli("platform", "status").returncode == 0
        assert cli("platform", "restart", "worker-webhook-2", "--venv", str(venv)).returncode == 0
        assert cli("platform", "kill", "api").returncode == 0
        assert cli("platform", "status").returncode == 1
    finally:
        assert cli("down").returncode == 0
    assert not list((home.root / "run").glob("platform.*.json"))
    assert os.access(home.env_file, os.R_OK)
