"""`infra/healthcheck`, the health check of every container, against a port that answers as it is told."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from harness import eventually, free_port

SCRIPT = Path(__file__).resolve().parents[2] / "infra" / "healthcheck"


class Answers(HTTPServer):
    """200 for the paths in `well`, else 503."""

    well: set[str]


class Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self) -> None:
        self.send_response(200 if self.path in self.server.well else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Answers]:
    answers = Answers(("127.0.0.1", 0), Handler)
    answers.well = set()
    threading.Thread(target=answers.serve_forever, args=(0.05,), daemon=True).start()
    yield answers
    answers.shutdown()
    answers.server_close()


def check(**environment: object) -> tuple[int, str]:
    named = {name: str(value) for name, value in environment.items()}
    done = subprocess.run(
        [SCRIPT], env={"PATH": "/usr/local/bin:/usr/bin:/bin", **named}, capture_output=True, text=True, check=False
    )
    assert not done.stderr
    return done.returncode, done.stdout


def well(seen: tuple[int, str]) -> bool:
    return seen[0] == 0


def test_an_api_is_well_while_it_answers_even_when_a_dependency_is_away(server: Answers) -> None:
    server.well = {"/healthz"}
    eventually(lambda: check(HOLDFAST_API_PORT=server.server_port), well)


def test_a_worker_is_well_once_it_consumes(server: Answers) -> None:
    server.well = {"/healthz"}
    code, words = check(HOLDFAST_METRICS_PORT=server.server_port)
    assert code == 1 and "503" in words
    server.well = {"/healthz", "/readyz"}
    eventually(lambda: check(HOLDFAST_METRICS_PORT=server.server_port), well)


def test_silence_is_told_with_its_reason() -> None:
    code, words = check(HOLDFAST_API_PORT=free_port())
    assert code == 1 and "does not answer" in words and "refused" in words
