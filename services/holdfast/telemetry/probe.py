"""A port for processes that serve no HTTP of their own: `/metrics`, `/healthz`, `/readyz`.

It runs in threads beside the work and reads only; a scrape can hold up nothing but itself. Open like the api's own
probes: it tells numbers, and nothing about any one job.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST

from holdfast.domain.errors import HoldfastError

PATIENCE = 5.0
"""Seconds that a client may take to send its request."""


@contextmanager
def probe(host: str, port: int | None, metrics: Callable[[], bytes], ready: Callable[[], bool]) -> Iterator[None]:
    """Serve while in this context; nothing when there is no port. Raise HoldfastError when the port is taken."""
    if port is None:
        yield
        return
    server = _listen(host, port, _handler(metrics, ready))
    os.register_at_fork(after_in_child=server.socket.close)  # or a child would keep the port from a successor
    threading.Thread(target=server.serve_forever, name="holdfast-probe", daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _listen(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    try:
        return _Server((host, port), handler)
    except OSError as error:
        raise HoldfastError(
            f"cannot listen on {host}:{port} for metrics: {error.strerror or error}; "
            "set HOLDFAST_METRICS_PORT to a free port, or leave it unset to serve none"
        ) from error


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def _handler(metrics: Callable[[], bytes], ready: Callable[[], bool]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = PATIENCE
        server_version, sys_version = "holdfast", ""

        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/metrics":
                    self._answer(HTTPStatus.OK, metrics(), CONTENT_TYPE_LATEST)
                case "/healthz":
                    self._say(HTTPStatus.OK, "ok")
                case "/readyz" if ready():
                    self._say(HTTPStatus.OK, "ok")
                case "/readyz":
                    self._say(HTTPStatus.SERVICE_UNAVAILABLE, "starting or stopping")
                case _:
                    self._say(HTTPStatus.NOT_FOUND, "there are /metrics, /healthz and /readyz here")

        do_HEAD = do_GET  # noqa: N815 - the library's way to name a method of HTTP

        def _say(self, status: HTTPStatus, word: str) -> None:
            self._answer(status, json.dumps({"status": word}).encode(), "application/json")

        def _answer(self, status: HTTPStatus, body: bytes, media_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """A scrape every few seconds is no news."""

    return Handler
