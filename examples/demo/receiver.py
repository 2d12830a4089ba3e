"""A webhook receiver as a customer would write one, for the demo.

It checks the signature before it looks at anything else, remembers ids so that a retry is answered but not acted on
twice, and can be told to be sick for a while:

    with Receiver(secret) as receiver:
        receiver.fail_next(3)        # answers 503 three times, with Retry-After
        ...                          # deliver to receiver.url
        print(receiver.received, receiver.deliveries)

Alone: `python examples/demo/receiver.py --port 9000 --secret whsec_…` prints one line for each delivery.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import threading
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from holdfast.handlers.webhook.signature import BadSignature, verify

MAX_BODY = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Delivery:
    """One webhook that was taken: genuine, and seen for the first time."""

    id: str
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


class Receiver:
    """An HTTP server in threads of its own. It answers 204, 401 (bad signature), or what it was told to fail with."""

    def __init__(self, secret: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self.secret = secret
        self.received: list[Delivery] = []
        """The genuine webhooks, each once, in the order of arrival."""
        self.deliveries: Counter[str] = Counter()
        """How often each webhook-id arrived and was answered 204: more than once means a retry after a lost answer."""
        self.refused = 0
        """Requests whose signature did not hold."""
        self._failures: list[int] = []
        self._lock = threading.Lock()
        self._server = _Server((host, port), _endpoint(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where to deliver."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/webhooks"

    def fail_next(self, times: int, status: int = 503) -> None:
        """Answer the next requests with `status`."""
        with self._lock:
            self._failures += [status] * times

    def recover(self) -> None:
        """Forget the failures that are still to come."""
        with self._lock:
            self._failures.clear()

    def start(self) -> Receiver:
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop answering and free the port."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Receiver:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def take(self, headers: dict[str, str], body: bytes) -> int:
        """The status for one request: act on a webhook once, and only when it is genuine."""
        with self._lock:
            if self._failures:
                return self._failures.pop(0)
            try:
                webhook_id = verify(headers, body, [self.secret])
            except BadSignature:
                self.refused += 1
                return HTTPStatus.UNAUTHORIZED
            self.deliveries[webhook_id] += 1
            if self.deliveries[webhook_id] == 1:
                self.received.append(Delivery(webhook_id, body, headers))
            return HTTPStatus.NO_CONTENT


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def _endpoint(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            if length > MAX_BODY:
                self.close_connection = True
                return self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return self._answer(receiver.take(dict(self.headers.items()), self.rfile.read(length)))

        def _answer(self, status: int) -> None:
            self.send_response(status)
            if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
                self.send_header("Retry-After", "1")
            if status != HTTPStatus.NO_CONTENT:
                self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet: the demo shows what it needs."""

    return Endpoint


def new_secret() -> str:
    """A fresh secret of 32 bytes."""
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


def main() -> None:
    """Run a receiver until interrupted."""
    arguments = argparse.ArgumentParser(description="A webhook receiver that checks signatures.")
    arguments.add_argument("--host", default="127.0.0.1")
    arguments.add_argument("--port", type=int, default=9000)
    arguments.add_argument("--secret", default=None, help="whsec_…; a fresh one is made and shown when missing")
    options = arguments.parse_args()
    receiver = Receiver(options.secret or new_secret(), options.host, options.port).start()
    print(f"listening on {receiver.url}" + ("" if options.secret else f", secret {receiver.secret}"), flush=True)
    shown, pause = 0, threading.Event()
    try:
        while not pause.wait(0.2):
            for delivery in receiver.received[shown:]:
                print(f"{delivery.id}  {len(delivery.body)} bytes", flush=True)
                shown += 1
    except KeyboardInterrupt:
        receiver.stop()


if __name__ == "__main__":
    main()
