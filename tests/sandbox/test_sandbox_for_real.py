"""A second sandbox beside the first, for real: up, crash, up again with the data intact, wiped without a trace."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox import envfile
from sandbox.home import Home, service_owner
from sandbox.process import Identity, family, wait_gone

pytestmark = pytest.mark.slow

SHARED_CACHE = Home.from_environment(os.environ).cache
"""The packages of the developer's own sandbox; downloaded there if it has none yet."""

Cli = Callable[..., subprocess.CompletedProcess[str]]


class Sandbox:
    """One home, driven through the command line."""

    def __init__(self, cli: Cli, root: Path) -> None:
        self.root = root
        self._cli = cli

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._cli(*arguments, HOLDFAST_SANDBOX_CACHE=str(SHARED_CACHE))

    def run(self, *arguments: str) -> str:
        result = self.attempt(*arguments)
        assert result.returncode == 0, f"{arguments}: {result.stdout}{result.stderr}"
        return result.stdout

    def url(self, name: str) -> urllib.parse.SplitResult:
        return urllib.parse.urlsplit(envfile.read(self.root / "env")[f"HOLDFAST_{name}_URL"])

    def rabbitmq(self, method: str, path: str, body: object = None) -> Any:
        """The management API."""
        url = self.url("RABBITMQ_MANAGEMENT")
        request = urllib.request.Request(f"http://{url.hostname}:{url.port}/api{path}", method=method)
        request.data = None if body is None else json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
        request.add_header(
            "Authorization", "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def processes(self) -> list[Identity]:
        """Every process of the services, children too."""
        records = [json.loads(path.read_text()) for path in (self.root / "run").glob("*.json")]
        return [relative for record in records for relative in family(record["pid"])]


@pytest.fixture
def sandbox(cli: Cli, home: Home) -> Iterator[Sandbox]:
    if sys.platform != "linux" or shutil.which("apt-get") is None:
        if os.environ.get("CI"):
            pytest.fail("CI must be able to run the sandbox")
        pytest.skip("the sandbox needs Linux with apt")
    found = Sandbox(cli, home.root)
    yield found
    found.attempt("wipe")


@pytest.mark.timeout(1200)
def test_a_sandbox_comes_up_survives_crashes_and_leaves_no_trace(sandbox: Sandbox) -> None:
    mounts = Path("/proc/mounts").read_text()
    sandbox.run("up")
    declare_queue(sandbox)
    assert_each_service_answers(sandbox)
    assert_loopback_only(sandbox)

    publish_durably(sandbox)
    sandbox.run("exec", "psql", "-qc", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)")
    for service in ("rabbitmq", "postgres"):
        sandbox.run("kill", service)
    assert sandbox.attempt("status").returncode == 1
    ports = json.loads((sandbox.root / "ports.json").read_text())
    with socket.create_server(("127.0.0.1", ports["rabbitmq-metrics"])):
        sandbox.run("start", "rabbitmq")
        assert_scraped(sandbox)
    again = sandbox.run("up")
    assert "redis 8" in again and "already up" in again
    assert_data_is_intact(sandbox)

    sandbox.run("exec", "redis-cli", "set", "kept", "42")
    addresses = envfile.read(sandbox.root / "env")
    processes = sandbox.processes()
    assert len(processes) > 5
    sandbox.run("down")
    assert wait_gone(processes, 1), f"still there: {[process for process in processes if process.is_alive()]}"
    sandbox.run("up")
    assert envfile.read(sandbox.root / "env") == addresses, "ports and passwords are kept"
    assert_data_is_intact(sandbox)
    assert sandbox.run("exec", "redis-cli", "get", "kept").strip() == "42"

    processes = sandbox.processes()
    sandbox.run("wipe")
    assert not sandbox.root.exists()
    assert Path("/proc/mounts").read_text() == mounts
    assert wait_gone(processes, 1), f"still there: {[process for process in processes if process.is_alive()]}"


def test_a_service_that_dies_at_its_start_shows_its_log(sandbox: Sandbox) -> None:
    sandbox.run("up", "--services", "redis")
    sandbox.run("stop", "redis")
    appended = sandbox.root / "data" / "redis" / "appendonlydir"
    for file in appended.glob("*.manifest"):
        file.write_text("this is no manifest")
        os.chown(file, *service_owner())
    result = sandbox.attempt("start", "redis")
    assert result.returncode == 2
    assert "Redis did not start. It ended" in result.stderr
    assert str(sandbox.root / "log" / "redis.log") in result.stderr
    assert "manifest" in result.stderr


def assert_each_service_answers(sandbox: Sandbox) -> None:
    table = sandbox.run("status")
    assert table.count(" up ") == 5, table
    assert sandbox.rabbitmq("GET", "/vhosts/holdfast")["default_queue_type"] == "quorum"
    assert sandbox.run("exec", "redis-cli", "config", "get", "maxmemory-policy").split() == [
        "maxmemory-policy",
        "noeviction",
    ]
    durable = sandbox.run("exec", "psql", "-Atc", "SHOW fsync; SHOW synchronous_commit; SHOW data_checksums")
    assert durable.split() == ["on", "on", "on"]
    assert_scraped(sandbox)


def assert_scraped(sandbox: Sandbox) -> None:
    """Prometheus reads its target files, and scrapes where RabbitMQ and itself are now, within a few seconds."""
    url = f"{sandbox.url('PROMETHEUS').geturl()}/api/v1/targets"
    prometheus, rabbitmq = sandbox.url("PROMETHEUS").netloc, sandbox.url("RABBITMQ_PROMETHEUS").netloc
    expected = {("prometheus", prometheus), ("rabbitmq", rabbitmq), ("rabbitmq-queues", rabbitmq)}
    deadline = time.monotonic() + 120
    while True:
        with urllib.request.urlopen(url, timeout=30) as answer:
            targets = json.load(answer)["data"]["activeTargets"]
        up = [target for target in targets if target["health"] == "up"]
        if {(target["scrapePool"], target["discoveredLabels"]["__address__"]) for target in up} >= expected:
            return
        assert time.monotonic() < deadline, targets
        time.sleep(0.1)


def assert_loopback_only(sandbox: Sandbox) -> None:
    """None of our ports can be reached by another address of this machine."""
    ports = json.loads((sandbox.root / "ports.json").read_text())
    for port in ports.values():
        with socket.socket() as stranger, pytest.raises(OSError):  # refused
            stranger.connect(("127.0.0.2", port))


def declare_queue(sandbox: Sandbox) -> None:
    """Well before the crash: RabbitMQ saves the name of a new quorum queue half a second after its declaration, and a
    node killed before that starts the queue anew, empty."""
    sandbox.rabbitmq("PUT", "/queues/holdfast/kept", {"durable": True})


def publish_durably(sandbox: Sandbox) -> None:
    message = {"properties": {"delivery_mode": 2}, "routing_key": "kept", "payload": "42", "payload_encoding": "string"}
    assert sandbox.rabbitmq("POST", "/exchanges/holdfast/amq.default/publish", message) == {"routed": True}


def assert_data_is_intact(sandbox: Sandbox) -> None:
    request = {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}
    assert [found["payload"] for found in sandbox.rabbitmq("POST", "/queues/holdfast/kept/get", request)] == ["42"]
    assert sandbox.run("exec", "psql", "-Atc", "SELECT n FROM kept").strip() == "42"
