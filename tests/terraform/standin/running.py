"""The stand-in as a process of its own, for as long as it is needed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 60.0
TESTS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class StandIn:
    """Where it answers, and what it has been asked in vain."""

    url: str
    log: Path

    @property
    def lacks(self) -> list[str]:
        """What neither moto nor a gap answers, each once: `moto lacks ecs DescribeDaemon`."""
        return sorted({line for line in self.log.read_text().splitlines() if line.startswith("moto ")})

    def environment(self) -> dict[str, str]:
        """What leads a client of AWS here and nowhere else, whatever the machine is configured for."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))}
        return inherited | {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "standin",
            "AWS_SECRET_ACCESS_KEY": "standin",
            "AWS_REGION": "eu-central-1",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }


@contextmanager
def running(folder: Path) -> Iterator[StandIn]:
    """Start it on a free port; end it, whatever happened."""
    log = folder / "standin.log"
    with log.open("w") as out:
        port = _free_port()
        argv = [sys.executable, "-m", "standin.server", str(port)]
        process = subprocess.Popen(argv, cwd=TESTS, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        try:
            _wait(process, port, log)
            yield StandIn(f"http://127.0.0.1:{port}", log)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the stand-in did not start within {READY_SECONDS:.0f} s: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
