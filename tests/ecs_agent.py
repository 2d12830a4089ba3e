"""The endpoint that the ECS agent serves inside a task, as far as task scale-in protection goes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROTECTED = b'{"protection": {"ProtectionEnabled": true, "TaskArn": "arn:aws:ecs:eu-central-1:123456789012:task/1"}}'


@dataclass
class EcsAgent:
    """Keeps what it is asked, and says what it is told to say."""

    url: str
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Paths and bodies of the requests."""
    says: tuple[int, bytes] = (200, PROTECTED)

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[EcsAgent]:
        """On a free port of loopback."""

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                agent.got.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                status, said = agent.says
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        agent = cls(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield agent
        finally:
            server.shutdown()
            server.server_close()
