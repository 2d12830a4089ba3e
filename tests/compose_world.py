"""The whole stack in containers, as one Compose project with a name, ports and secrets of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
WEBHOOK_WORKERS = 2
OUTSIDE = "10.213.78"
EIGHT = ("api", "worker-render", "worker-webhook", "rabbitmq", "redis", "postgres", "prometheus", "grafana")


@dataclass
class Stack:
    """One Compose project. It is told `environment` and nothing of the shell's or of the repository's `.env`."""

    project: str
    env_file: Path
    environment: Mapping[str, str]
    services: tuple[str, ...] = EIGHT

    def compose(self, *arguments: str, check: bool = True, within: float = 600.0) -> subprocess.CompletedProcess[str]:
        """`docker compose …`; a failure shows what it said."""
        command = ["docker", "compose", "--project-name", self.project, "--env-file", str(self.env_file)]
        command += ["--project-directory", str(REPOSITORY), "--file", str(REPOSITORY / "docker-compose.yml")]
        done = subprocess.run(
            [*command, *arguments],
            env={**_bare(), **self.environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=within,
            check=False,
        )
        assert not check or done.returncode == 0, (
            f"compose {' '.join(arguments)}:\n{(done.stdout + done.stderr)[-4000:]}"
        )
        return done

    def up(self) -> None:
        """Start what is down, and wait until all of it is well."""
        scale = f"worker-webhook={WEBHOOK_WORKERS}"
        done = self.compose("up", "--wait", "--no-build", "--scale", scale, *self.services, check=False)
        if done.returncode != 0:
            logs = self.compose("logs", "--tail", "15", check=False).stdout
            pytest.fail(f"the stack did not come up:\n{done.stderr[-2000:]}\n{logs[-6000:]}")

    def containers(self) -> list[dict[str, Any]]:
        """What `ps` says of each, those that ended included."""
        lines = self.compose("ps", "--all", "--format", "json").stdout.splitlines()
        return [json.loads(line) for line in lines]

    def url(self, service: str, port: int) -> str:
        """Where this machine finds a port of a service."""
        return "http://" + self.compose("port", service, str(port)).stdout.strip()

    def key(self) -> str:
        """An API key that may submit, read and operate."""
        roles = [word for role in ("submit", "read", "operate") for word in ("--role", role)]
        return self.compose("exec", "-T", "api", "holdfast", "keys", "create", "test", *roles).stdout.strip()

    def client(self) -> httpx.Client:
        """The api, with a key."""
        headers = {"Authorization": f"Bearer {self.key()}"}
        return httpx.Client(base_url=self.url("api", 8000), headers=headers, timeout=60)


def _bare() -> dict[str, str]:
    """What the Docker client itself needs."""
    return {name: value for name, value in os.environ.items() if name.startswith("DOCKER_") or name in {"PATH", "HOME"}}
