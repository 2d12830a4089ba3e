"""A Prometheus of the test's own that scrapes a platform every second, and somebody whom it pages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from harness import Platform, eventually, free_port

REPOSITORY = Path(__file__).resolve().parents[1]


class Absent(Exception):
    """A program is not on this machine."""


def prometheus_tool(name: str) -> str:
    """`prometheus` or `promtool`: from the path, or from the sandbox's packages. Raise Absent."""
    home = Path(os.environ.get("HOLDFAST_HOME") or REPOSITORY / ".holdfast")
    cache = Path(os.environ.get("HOLDFAST_SANDBOX_CACHE") or home / "cache")
    found = [shutil.which(name), *map(str, sorted(cache.glob(f"root-*/usr/bin/{name}")))]
    for program in found:
        if program:
            return program
    raise Absent(f"{name} is not there: `make services` brings it with Prometheus")


class Pager:
    """Takes what Prometheus sends to an Alertmanager, over the same API, and keeps it.

    Source: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml (`POST /api/v2/alerts`)
    """

    def __init__(self) -> None:
        sent = self._sent = list[dict[str, Any]]()

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                alerts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                sent.extend({**alert, "at": datetime.now(UTC)} for alert in alerts)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Pager:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def told(self, name: str) -> list[dict[str, Any]]:
        """The changes of one alert, in order, each with `status`, `labels`, `annotations`; repetitions left out."""
        changes: list[dict[str, Any]] = []
        for alert in self._sent:
            if alert["labels"]["alertname"] == name:
                over = datetime.fromisoformat(alert["endsAt"].replace("Z", "+00:00")) <= alert["at"]
                status = "resolved" if over else "firing"
                if not changes or changes[-1]["status"] != status:
                    changes.append({**alert, "status": status})
        return changes


@dataclass
class Monitoring:
    """A running Prometheus."""

    url: str
    pager: Pager
    folder: Path
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=20))

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an instant query returns; fail with Prometheus' words when it does not take it."""
        answer = self._client.get(f"{self.url}/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer.get('error')}"
        result = answer["data"]["result"]
        return result if answer["data"]["resultType"] == "vector" else [{"metric": {}, "value": result}]

    def value(self, expression: str) -> float:
        """The only value of an expression; 0 when it returns nothing."""
        found = self.query(expression)
        return float(found[0]["value"][1]) if found else 0.0

    def targets(self) -> Mapping[str, str]:
        """The health of each job."""
        found = self._client.get(f"{self.url}/api/v1/targets").json()["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in found}


@contextmanager
def monitored(platform: Platform, folder: Path, rules: str, rabbitmq: str) -> Iterator[Monitoring]:
    """Watch a platform with these rules, evaluated and scraped every second. `rabbitmq`: host:port of its metrics."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rules.yml").write_text(rules)
    jobs = {
        "api": [f"127.0.0.1:{platform.port}"],
        "worker": [f"127.0.0.1:{it.port}" for name, it in platform.members.items() if name.startswith("worker")],
    }
    server = free_port()
    with ExitStack() as running:
        pager = running.enter_context(Pager())
        scrape = [_job(name, "/metrics", targets) for name, targets in jobs.items()]
        if rabbitmq:
            families = ["queue_coarse_metrics", "queue_consumer_count", "queue_metrics", "queue_delivery_metrics"]
            scrape += [_job("rabbitmq", "/metrics", [rabbitmq])]
            scrape += [_job("rabbitmq-queues", "/metrics/detailed", [rabbitmq]) | {"params": {"family": families}}]
        _write(folder / "prometheus.yml", _prometheus(scrape, pager.address))
        config, address = f"--config.file={folder / 'prometheus.yml'}", f"--web.listen-address=127.0.0.1:{server}"
        command = [prometheus_tool("prometheus"), config, address, f"--storage.tsdb.path={folder / 'tsdb'}"]
        running.enter_context(_running(command, folder / "prometheus.log"))
        monitoring = Monitoring(f"http://127.0.0.1:{server}", pager, folder)
        eventually(lambda: _ready(monitoring.url), within=60)
        yield monitoring


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def _job(name: str, path: str, targets: Sequence[str]) -> dict[str, Any]:
    return {"job_name": name, "metrics_path": path, "static_configs": [{"targets": list(targets)}]}


def _prometheus(scrape: Sequence[Mapping[str, Any]], notifier: str) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": list(scrape),
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [notifier]}]}]},
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
