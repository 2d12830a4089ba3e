"""The stack, built from this working tree and removed with its data at the end."""

from __future__ import annotations

import os
import secrets
import subprocess
import warnings
from collections.abc import Iterator

import pytest

from compose_world import EIGHT, OUTSIDE, REPOSITORY, Stack
from harness import free_port


@pytest.fixture(scope="session")
def engine() -> None:
    """Skips with the reason unless `make compose-test` asked and a Docker engine answers."""
    if os.environ.get("HOLDFAST_COMPOSE_TEST") != "1":
        pytest.skip("takes a Docker engine and several minutes: run `make compose-test`")
    try:
        command = ["docker", "info", "--format", "{{.ServerVersion}}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"no Docker engine answers: {error}")
    if done.returncode != 0:
        pytest.skip(f"no Docker engine answers: {done.stderr.strip()}")


@pytest.fixture(scope="session")
def stack(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Built from this working tree, up and well. Grafana is left out, with a warning, where its image cannot be had."""
    folder = tmp_path_factory.mktemp("compose")
    (folder / ".env.example").write_text((REPOSITORY / ".env.example").read_text())
    subprocess.run([REPOSITORY / "infra" / "make-env", folder], check=True, capture_output=True)
    ports = ("API", "RABBITMQ", "RABBITMQ_MANAGEMENT", "RABBITMQ_METRICS", "REDIS", "POSTGRES", "PROMETHEUS", "GRAFANA")
    own = {f"{name}_PORT": str(free_port()) for name in ports}
    own |= {"HOLDFAST_VERSION": "test", "OUTSIDE_NETWORK": OUTSIDE}
    running = Stack(f"holdfast-test-{secrets.token_hex(3)}", folder / ".env", own)
    running.compose("build", *(name for name in EIGHT if name != "grafana"), "smoke", within=1800)
    grafana = running.compose("build", "grafana", check=False)
    if grafana.returncode != 0:
        running.services = tuple(name for name in EIGHT if name != "grafana")
        warnings.warn(f"without Grafana, whose image cannot be had: {grafana.stderr.strip()[-200:]}", stacklevel=1)
    try:
        running.up()
        yield running
    finally:
        running.compose("--profile", "*", "down", "--volumes", "--timeout", "20", check=False)
