"""h2load is fetched when asked, and read as it reports: who was accepted, who refused, and what was sent too late."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from overload.h2load import Offered, offer
from sandbox import envfile, h2load
from sandbox.home import Home

SHARED_CACHE = Home.from_environment(os.environ).cache
REFUSED_EVERY = 4

Cli = Callable[..., subprocess.CompletedProcess[str]]


class Answers(BaseHTTPRequestHandler):
    """202, and every fourth time 503."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_POST(self) -> None:
        """Read the body, answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        Answers.count += 1
        self.send_response(202 if Answers.count % REFUSED_EVERY else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    Answers.count = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
def test_the_program_is_named_in_the_env_file_and_what_it_offers_adds_up(cli: Cli, home: Home, url: str) -> None:
    fetched = cli("h2load", HOLDFAST_SANDBOX_CACHE=str(SHARED_CACHE))
    assert fetched.returncode == 0, fetched.stderr
    program = envfile.read(home.env_file)[h2load.VARIABLE]
    seen: Offered = offer(program, url, "r1", rate=100, seconds=2, callers=10)
    assert Answers.count == seen.accepted.count + seen.refused.count == 200
    assert seen.refused.count == 200 // REFUSED_EVERY
    assert seen.others == 0
    assert 0 < seen.accepted.p50 <= seen.accepted.p99 <= seen.accepted.worst
