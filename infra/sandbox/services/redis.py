"""Redis: breakers, rate limits and the idempotency gate live here.

Appended to disk every second; never evicts, because a forgotten idempotency key or an open breaker that is gone
would be worse than a refused write.
"""

from __future__ import annotations

from sandbox.daemon import Command
from sandbox.errors import NotReady
from sandbox.home import service_folder, write_for_service
from sandbox.ports import LOOPBACK

from .base import Service, connect, settings


class Redis(Service):
    """One server with an append-only file."""

    name = "redis"
    package = "redis-server"
    listeners = ("redis",)

    def prepare(self) -> None:
        """Write redis.conf."""
        service_folder(self.data)
        service_folder(self.etc)
        values = {
            "bind": LOOPBACK,
            "port": self.ports["redis"],
            "requirepass": self.home.secret("redis"),
            "dir": "/data",
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory": "512mb",
            "maxmemory-policy": "noeviction",
        }
        write_for_service(self.etc / "redis.conf", settings(values, " "))

    def command(self) -> Command:
        """The server in the foreground."""
        argv = ["/usr/bin/redis-server", "/config/redis.conf"]
        return self.place.root.command(argv, binds={self.data: "/data", self.etc: "/config"})

    def answers(self) -> None:
        """AUTH and PING."""
        with connect(self.ports["redis"]) as connection:
            connection.sendall(f"AUTH {self.home.secret('redis')}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (more := connection.recv(256)):
                answer += more
        if answer != b"+OK\r\n+PONG\r\n":  # -LOADING while the append-only file is read
            raise NotReady(f"redis said {answer!r}")
