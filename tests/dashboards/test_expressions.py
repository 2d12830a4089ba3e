"""Every expression of every panel and alert returns data from a platform that works, fails and recovers."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from receiver import Receiver

import grafana_files
from alerts import ALERTS
from harness import Platform, eventually
from monitoring import Monitoring

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SELECTOR = re.compile(r'\{__name__=~"[^"]*"\}|\b(?:holdfast[_:][\w:]+|rabbitmq_\w+|process_\w+|up)\b(?:\{[^}]*\})?')


def panels() -> Iterator[tuple[str, str]]:
    for name, content in grafana_files.dashboards():
        for panel in json.loads(content)["panels"]:
            for target in panel.get("targets", ()):
                yield f"{name}: {panel['title']}", target["expr"]


@pytest.mark.timeout(400)
def test_every_expression_returns_data(watched: tuple[Platform, Monitoring]) -> None:
    if "HOLDFAST_RABBITMQ_PROMETHEUS_URL" not in os.environ:
        pytest.skip("HOLDFAST_RABBITMQ_PROMETHEUS_URL does not name RabbitMQ's metrics; `make test` does")
    platform, monitoring = watched
    eventually(monitoring.targets, lambda jobs: len(jobs) == 4 and set(jobs.values()) == {"up"}, within=60)
    with Receiver(SECRET) as receiver, platform.client() as api, _under_load(platform, receiver):
        letters = eventually(lambda: api.get("/v1/dead-letters").json()["dead_letters"], within=60)
        api.post(f"/v1/dead-letters/{letters[0]['id']}/replay", json={}).raise_for_status()
        eventually(lambda: list(_silent(monitoring)), lambda found: not found, within=100, every=2)


@contextmanager
def _under_load(platform: Platform, receiver: Receiver) -> Iterator[None]:
    """Two jobs every half second, of which some fail and are retried, and one dies; at most five minutes."""
    enough = threading.Event()

    def submit() -> None:
        receiver.fail_next(1, status=410)
        receiver.fail_next(2)
        hook = {"url": receiver.url, "body": 1, "secret": receiver.secret}
        bodies = [{"kind": "webhook.dispatch", "payload": hook}, {"kind": "pdf.render", "payload": {"html": "<p>."}}]
        with platform.client() as api:
            for _ in range(600):
                for body in bodies:
                    api.post("/v1/jobs", json=body).raise_for_status()
                if enough.wait(0.5):
                    return

    submitting = threading.Thread(target=submit, daemon=True)
    submitting.start()
    try:
        yield
    finally:
        enough.set()
        submitting.join(20)


def _silent(monitoring: Monitoring) -> Iterator[str]:
    for place, expression in panels():
        asked = expression.replace("$__rate_interval", "1m").replace("$__range", "5m")
        if not monitoring.query(asked):
            yield f"{place}: {asked}"
    for alert in ALERTS:
        for selector in SELECTOR.findall(alert.expr):
            if not monitoring.query(selector):
                yield f"{alert.name}: {selector}"
