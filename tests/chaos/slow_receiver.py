"""A webhook receiver that keeps its callers waiting, so that a test can act in the middle of a delivery."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class SlowReceiver:
    """Counts deliveries by webhook-id, and holds each answer until it is let go."""

    def __init__(self) -> None:
        self.deliveries: Counter[str] = Counter()
        self.go = threading.Event()
        outer = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.deliveries[self.headers["webhook-id"]] += 1
                outer.go.wait(60)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.go.set()
        self._server.shutdown()
        self._server.server_close()
