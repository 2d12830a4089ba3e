"""Ports that move aside: each listener has a preferred port and takes the next free one when it is taken.

Invariant: a port once chosen is kept over restarts as long as it is free, and no two listeners of one home
share a port. Free means that 127.0.0.1 can be bound, which also fails for a listener on 0.0.0.0 or [::].
"""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

from .errors import SandboxError
from .home import read_json, write_private

LOOPBACK = "127.0.0.1"
REACH = 400
"""How far from the preferred port to look."""

PREFERRED = {
    "amqp": 5672,
    "management": 15672,
    "rabbitmq-metrics": 15692,
    "distribution": 25672,
    "epmd": 4369,
    "redis": 6379,
    "postgres": 5432,
    "prometheus": 9090,
    "api": 8000,
    "worker-render": 9464,
    "worker-webhook": 9474,
}


class Ports:
    """The ports of one home, kept in `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._choosing = threading.Lock()
        self._chosen: dict[str, int] = read_json(path, {})

    def __getitem__(self, listener: str) -> int:
        return self._chosen[listener]

    def get(self, listener: str) -> int | None:
        """The chosen port, None before the first choice."""
        return self._chosen.get(listener)

    def choose(self, listener: str) -> int:
        """Settle the port of a listener that is about to start, and remember it."""
        with self._choosing:
            kept = self._chosen.get(listener)
            if kept is None or not is_free(kept):
                kept = self._next_free(listener)
            self._chosen[listener] = kept
            write_private(self._path, json.dumps(self._chosen, indent=2))
        return kept

    def _next_free(self, listener: str) -> int:
        preferred = PREFERRED.get(listener) or PREFERRED[listener.rpartition("-")[0]]  # of a second process of a role
        others = {port for name, port in self._chosen.items() if name != listener} | (
            {port for name, port in PREFERRED.items() if name != listener}
        )
        for port in range(preferred, preferred + REACH):
            if port not in others and is_free(port):
                return port
        raise SandboxError(
            f"No port for {listener} could be had",
            f"{preferred} to {preferred + REACH - 1} are all taken on {LOOPBACK}",
            "Stop what listens there (`ss -ltnp` shows it)",
        )


def is_free(port: int) -> bool:
    """Can 127.0.0.1:port be listened on now? Connections in TIME_WAIT do not count as taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True
