"""What metrics and logs cost on the enqueue path: the same requests with and without, in one interleaved run.

One process serves the api (its real application, ledger, broker and gate) to itself, without a network between, so that
what is measured is the server's own CPU time for each accepted job. The variants take turns, round by round, in an
order that changes, so that whatever else the machine does meets all of them alike.

    without    no metric is counted, no line is written
    metrics    metrics alone
    logs       a line for each job, as JSON, to a file
    both       what every process does; tracing is off, as it is unless it is asked for
    traced     both, and every request traced and sent to a receiver that throws it away (for comparison)

`make bench-telemetry` runs it. How long an off `span` takes is measured by itself, for it is too little to see beside a
request.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import random
import statistics
import sys
import tempfile
import time
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from fastapi import FastAPI
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import Counter, Gauge

from conftest import SERVICES, fresh
from holdfast.api.app import create
from holdfast.settings import Settings
from holdfast.telemetry import logs, tracing
from holdfast.telemetry.families import Histogram

Silenced = tuple[tuple[Any, str], ...]
COUNTING: Silenced = ((Counter, "inc"), (Histogram, "observe"), (Gauge, "inc"), (Gauge, "dec"), (Gauge, "set"))
"""All that counts."""
LOGGING: Silenced = ((structlog.make_filtering_bound_logger(logging.INFO), "info"),)
"""All that writes lines of a job."""
AT_ONCE = 50
"""Requests under way."""
VARIANTS = ("without", "metrics", "logs", "both", "traced")
PAYLOAD = {"url": "https://example.com/hook", "body": {"order": 1}}
BODY = json.dumps({"kind": "webhook.dispatch", "payload": PAYLOAD}).encode()


class Away(SpanExporter):
    """A receiver that throws everything away."""

    def export(self, _: Any) -> SpanExportResult:
        """Nothing."""
        return SpanExportResult.SUCCESS


def _nothing(*_: Any, **__: Any) -> None:
    """Count and write nothing."""


@contextmanager
def variant(name: str) -> Iterator[None]:
    """Let the process be so while in this context."""
    silenced = [
        *(COUNTING if name in {"without", "logs"} else ()),
        *(LOGGING if name in {"without", "metrics"} else ()),
    ]
    real = [(kind, method, getattr(kind, method)) for kind, method in silenced]
    for kind, method in silenced:
        setattr(kind, method, _nothing)
    if name == "traced":
        tracing.export(Away(), "bench")
    try:
        yield
    finally:
        for kind, method, was in real:
            setattr(kind, method, was)
        tracing.stop()


async def post(app: FastAPI) -> None:
    """One accepted job, as a server hands it to the application."""
    headers = [(b"content-type", b"application/json"), (b"idempotency-key", uuid4().hex.encode())]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/jobs", "raw_path": b"/v1/jobs", "query_string": b"", "root_path": "",
        "headers": [*headers, (b"content-length", str(len(BODY)).encode())],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000),
    }  # fmt: skip
    seen: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            seen.append(message["status"])

    await app(scope, receive, send)
    if seen != [202]:
        raise RuntimeError(f"a request was answered with {seen}")


async def round_of(app: FastAPI, jobs: int) -> float:
    """CPU seconds of this process for each of `jobs` requests."""
    left = iter(range(jobs))

    async def client() -> None:
        for _ in left:
            await post(app)

    gc.collect()
    gc.disable()
    began = time.process_time()
    await asyncio.gather(*(client() for _ in range(AT_ONCE)))
    spent = time.process_time() - began
    gc.enable()
    return spent / jobs


async def measure(settings: Settings, rounds: int, jobs: int) -> dict[str, list[float]]:
    """Microseconds of CPU for each job, of each round of each variant."""
    app = create(settings)
    found: dict[str, list[float]] = {name: [] for name in VARIANTS}
    async with app.router.lifespan_context(app):
        for number in range(rounds + 1):  # the first one warms up
            for name in random.sample(VARIANTS, len(VARIANTS)):
                with variant(name):
                    spent = await round_of(app, jobs)
                if number:
                    found[name].append(spent * 1e6)
    return found


def report(found: dict[str, list[float]]) -> None:
    """By the quick quarter of the rounds, which other work on the machine met least, and by the median."""
    print(f"{'variant':<10}{'CPU of a job':>14}{'ratio to without':>20}{'by the median':>16}")
    quick = {name: statistics.quantiles(spent, n=4)[0] for name, spent in found.items()}
    middle = {name: statistics.median(spent) for name, spent in found.items()}
    for name in found:
        ratios = quick[name] / quick["without"], middle[name] / middle["without"]
        print(f"{name:<10}{quick[name]:>11.0f} µs{ratios[0]:>20.3f}{ratios[1]:>16.3f}")
    calls = 100_000
    off = timeit.timeit("with span('x'): pass", globals={"span": tracing.span}, number=calls) / calls
    share = 100 * 3 * off / (quick["both"] * 1e-6)
    print(f"a span while tracing is off: {off * 1e9:.0f} ns; three of them in an enqueue are {share:.2f} % of it")


def main() -> None:
    """Run it against the services of the environment, in a database and a virtual host of its own."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--rounds", type=int, default=50)
    arguments.add_argument("--jobs", type=int, default=100)
    asked = arguments.parse_args()
    services = {name: os.environ[name] for name in SERVICES}
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as stream:
        sys.stderr, kept = stream, sys.stderr
        logs.configure("INFO", "json", "api")
        sys.stderr = kept
        with fresh(services, Path(folder)) as settings:
            unhindered = {
                "steward_in_api": False,
                "shed_load": False,
                "rate_limit_key": None,
                "rate_limit_tenant": None,
            }
            report(asyncio.run(measure(settings.model_copy(update=unhindered), asked.rounds, asked.jobs)))
        logging.getLogger().handlers.clear()  # the log goes with its folder


if __name__ == "__main__":
    main()
