"""PostgreSQL: the ledger.

Invariant: `fsync` and `synchronous_commit` stay on, here as in production: a 202 means durable. TCP on 127.0.0.1
with SCRAM only, no unix socket. The cluster has data checksums.
"""

from __future__ import annotations

import shutil
import subprocess
from signal import SIGINT

from sandbox.daemon import Command
from sandbox.errors import NotReady, SandboxError
from sandbox.home import service_folder, write_for_service
from sandbox.ports import LOOPBACK
from sandbox.process import identify

from .base import DATABASE, USER, Service, connect

_BIN = "/usr/lib/postgresql/18/bin"
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "128MB",
    "max_connections": "200",
    "max_wal_size": "512MB",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "timezone": "UTC",
}


class Postgres(Service):
    """One cluster with one database."""

    name = "postgres"
    package = "postgresql-18"
    listeners = ("postgres",)
    stop_signal = SIGINT  # "fast" shutdown: ends the sessions, writes a checkpoint

    def prepare(self) -> None:
        """Make the cluster on the first run, clear what a crash left."""
        service_folder(self.data)
        if not (self.data / "cluster" / "global" / "pg_control").exists():
            self._make_cluster()
        self._forget_dead_server()

    def command(self) -> Command:
        """The server in the foreground, its settings as arguments."""
        argv = [f"{_BIN}/postgres", "-D", "/data/cluster", "-p", str(self.ports["postgres"])]
        for key, value in _SETTINGS.items():
            argv += ["-c", f"{key}={value}"]
        return self.place.root.command(argv, binds={self.data: "/data"})

    def answers(self) -> None:
        """One query on our database, which is created if it is not there."""
        connect(self.ports["postgres"]).close()
        if not self.query("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'"):  # noqa: S608 (a constant)
            self.query("postgres", f"CREATE DATABASE {DATABASE}")
        self.query(DATABASE, "SELECT 1")

    def query(self, database: str, statement: str) -> str:
        """The unaligned answer of psql; raises NotReady with its complaint."""
        argv = [f"{_BIN}/psql", "-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement]
        result = self._run(argv, self.client_environment())
        if result.returncode != 0:
            raise NotReady(f"psql: {result.stderr.strip()}")
        return result.stdout.strip()

    def client_environment(self) -> dict[str, str]:
        """What libpq reads."""
        return {
            "PGHOST": LOOPBACK,
            "PGPORT": str(self.ports["postgres"]),
            "PGUSER": USER,
            "PGDATABASE": DATABASE,
            "PGPASSWORD": self.home.secret("postgres"),
            "PGCONNECT_TIMEOUT": "5",
        }

    def _make_cluster(self) -> None:
        """Under a temporary name first: a half-made cluster is never taken for a whole one."""
        shutil.rmtree(self.data / "partial", ignore_errors=True)
        password = self.data / "password"
        write_for_service(password, self.home.secret("postgres") + "\n")
        result = self._run(
            [
                *(f"{_BIN}/initdb", "-D", "/data/partial", "--username", USER, "--pwfile", "/data/password"),
                *("--auth", "scram-sha-256", "--data-checksums", "--encoding", "UTF8"),
                *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
            ],
            {},
        )
        password.unlink()
        if result.returncode != 0:
            raise SandboxError(
                "The PostgreSQL cluster could not be made", result.stderr.strip() or result.stdout[-800:]
            )
        shutil.rmtree(self.data / "cluster", ignore_errors=True)
        (self.data / "partial").rename(self.data / "cluster")

    def _forget_dead_server(self) -> None:
        """Remove the pid file that a crash left, if that process really ended.

        PostgreSQL takes a zombie for a living server, and a container without a real init keeps zombies.
        """
        path = self.data / "cluster" / "postmaster.pid"
        if path.exists() and identify(int(path.read_text().split()[0])) is None:
            path.unlink()

    def _run(self, argv: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = self.place.root.command(argv, environ, {self.data: "/data"})
        return subprocess.run(
            command.argv,
            env=dict(command.environ),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd="/",
            check=False,
        )
