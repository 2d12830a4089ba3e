"""Where the sandbox cannot run but a Docker engine answers, Compose runs the data services, under the same promises.

`docker` is a script here that writes down what it was told; the engine itself is used by `make compose-test`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from sandbox import envfile
from sandbox.home import Home

Cli = Callable[..., CompletedProcess[str]]
DOCKER = """#!{python} -IS
import json, os, sys
with open({log!r}, "a") as log:
    kept = {{name: value for name, value in os.environ.items() if name.endswith(("_PORT", "_PASSWORD"))}}
    log.write(json.dumps({{"argv": sys.argv[1:], "environ": kept}}) + "\\n")
if "ps" in sys.argv:
    print(open({ps!r}).read(), end="")
sys.exit({code})
"""


@dataclass
class Docker:
    """A `docker` on a PATH of its own, on which there is no apt-get."""

    folder: Path
    code: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir()
        script = self.folder / "docker"
        (self.folder / "ps").write_text("")
        named = {"log": str(self.folder / "log"), "ps": str(self.folder / "ps"), "code": self.code}
        script.write_text(DOCKER.format(python=sys.executable, **named))
        script.chmod(0o755)

    def runs(self, *services: str) -> None:
        """These are healthy from now on."""
        rows = [{"Service": name, "Health": "healthy", "State": "running", "Image": f"{name}:1.2"} for name in services]
        (self.folder / "ps").write_text("\n".join(map(json.dumps, rows)))

    def told(self, verb: str) -> list[tuple[list[str], Mapping[str, str]]]:
        """Calls of `docker compose … verb …`: what followed the verb, and the environment."""
        calls = [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]
        return [
            (call["argv"][call["argv"].index(verb) + 1 :], call["environ"]) for call in calls if verb in call["argv"]
        ]


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path / "bin")


def test_a_machine_without_apt_but_with_an_engine_gets_composes_services(cli: Cli, home: Home, docker: Docker) -> None:
    done = cli("up", PATH=str(docker.folder))
    assert done.returncode == 0, done.stderr
    [(arguments, environ)] = docker.told("up")
    assert arguments == ["--detach", "--wait", "rabbitmq", "redis", "postgres"]
    written = envfile.read(home.env_file)
    assert written["HOLDFAST_REDIS_URL"] == f"redis://:{environ['REDIS_PASSWORD']}@127.0.0.1:{environ['REDIS_PORT']}/0"
    assert f":{environ['POSTGRES_PASSWORD']}@127.0.0.1:{environ['POSTGRES_PORT']}/" in written["HOLDFAST_POSTGRES_URL"]
    assert f"@127.0.0.1:{environ['RABBITMQ_PORT']}/holdfast" in written["HOLDFAST_RABBITMQ_URL"]
    assert written["HOLDFAST_RABBITMQ_MANAGEMENT_URL"].endswith(f"@127.0.0.1:{environ['RABBITMQ_MANAGEMENT_PORT']}")
    assert "HOLDFAST_PROMETHEUS_URL" not in written
    assert home.env_file.stat().st_mode & 0o777 == 0o600


def test_an_engine_that_does_not_answer_is_no_way_out(cli: Cli, tmp_path: Path) -> None:
    done = cli("up", PATH=str(Docker(tmp_path / "bin", code=1).folder))
    assert done.returncode == 2 and "apt-get is missing" in done.stderr


def test_it_can_be_asked_for_and_is_remembered(cli: Cli, docker: Docker) -> None:
    path = f"{docker.folder}{os.pathsep}{os.environ['PATH']}"
    services = ("--services", "redis,postgres")
    assert cli("up", *services, PATH=path, HOLDFAST_SANDBOX_ENGINE="compose").returncode == 0
    docker.runs("redis")
    shown = cli("status", PATH=path)
    assert (
        shown.returncode == 1
        and "redis        1.2       up" in shown.stdout
        and "postgres     -         down" in shown.stdout
    )
    assert cli("kill", "redis", PATH=path).returncode == 0
    assert cli("wipe", PATH=path).returncode == 0
    assert [arguments for arguments, _ in docker.told("kill")] == [["redis"]]
    assert [arguments for arguments, _ in docker.told("down")] == [["--volumes"]]


def test_ports_of_what_runs_are_kept_and_others_move_aside(cli: Cli, docker: Docker) -> None:
    cli("up", "--services", "redis", PATH=str(docker.folder))
    docker.runs("redis")
    cli("up", "--services", "redis,postgres", PATH=str(docker.folder))
    (_, before), (_, after) = docker.told("up")
    assert after["REDIS_PORT"] == before["REDIS_PORT"] and "POSTGRES_PORT" not in before


def test_what_is_given_by_url_is_not_started(cli: Cli, docker: Docker) -> None:
    given = {"HOLDFAST_POSTGRES_URL": "postgresql+asyncpg://me:secret@db.example/holdfast"}
    assert cli("up", "--services", "redis,postgres", PATH=str(docker.folder), **given).returncode == 0
    assert [arguments for arguments, _ in docker.told("up")] == [["--detach", "--wait", "redis"]]


def test_another_engine_is_refused(cli: Cli) -> None:
    done = cli("status", HOLDFAST_SANDBOX_ENGINE="podman")
    assert done.returncode == 2 and "Set debian or compose" in done.stderr
