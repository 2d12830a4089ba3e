"""The data services by Docker Compose, for a machine where the sandbox cannot run them: macOS, or a Linux without apt.

The same promises as `Sandbox`, kept by the engine: `up` returns once every service is healthy, ports move aside, data
survives in volumes, the env file is the same. The project carries the home in its name, so that several homes, and a
whole stack of `docker compose up`, live side by side. Prometheus is left out: in a container it could not scrape the
processes of this machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Collection, Mapping

from .addresses import given_addresses
from .chosen import COMPOSE, Chosen, recall, remember
from .errors import SandboxError
from .home import DATA_NAMES, OWN_NAMES, REPOSITORY, Home
from .ports import Ports
from .progress import say, step
from .sandbox import Row, given_rows

SERVICES = ("rabbitmq", "redis", "postgres")
_PORTS = {
    "rabbitmq": {
        "amqp": "RABBITMQ_PORT",
        "management": "RABBITMQ_MANAGEMENT_PORT",
        "rabbitmq-metrics": "RABBITMQ_METRICS_PORT",
    },
    "redis": {"redis": "REDIS_PORT"},
    "postgres": {"postgres": "POSTGRES_PORT"},
}
"""Our listeners, and the variables of docker-compose.yml that publish them."""
_UNUSED = ("GRAFANA_PASSWORD", "FLOWER_PASSWORD", "HOLDFAST_SIGNING_KEY", "HOLDFAST_ENCRYPTION_KEYS")
"""Variables that the file requires of services that are not started."""
_ANSWER_SECONDS = 20.0


def engine_answers() -> bool:
    """Whether `docker compose` is there and its engine runs."""
    for command in (["docker", "compose", "version"], ["docker", "info"]):
        try:
            done = subprocess.run(command, capture_output=True, timeout=_ANSWER_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        if done.returncode != 0:
            return False
    return True


class ComposeServices:
    """The data services of one home. `environ` is the caller's environment, in which URLs may be given."""

    def __init__(self, home: Home, environ: Mapping[str, str]) -> None:
        self.home = home
        self.ports = Ports(home.root / "ports.json")
        self._environ = environ
        self._project = f"holdfast-sandbox-{hashlib.sha256(str(home.root).encode()).hexdigest()[:8]}"

    @property
    def hint(self) -> str:
        """How a person runs a tool in a container of ours."""
        return f"Use `docker exec -it {self._project}-SERVICE-1 TOOL`"

    def up(self, choice: Collection[str]) -> None:
        """Start what is missing of `choice`, leaving out what is given by URL, and write the env file."""
        given = given_addresses(self.home, self.ports, self._environ, choice)
        own = [service for service in SERVICES if service in choice and service not in given]
        if own:
            running = {row.service for row in self._rows() if row.is_up}
            for service in own:
                for listener in _PORTS[service] if service not in running else ():
                    self.ports.choose(listener)
            with step(f"{', '.join(own)} up, by Docker Compose"):
                self._compose("up", "--detach", "--wait", *own)
        remember(self.home, self.ports, Chosen(own, given, COMPOSE))

    def down(self) -> None:
        """Stop and remove the containers; their volumes stay."""
        with step("containers stopped"):
            self._compose("down")

    def wipe(self, *, only_data: bool) -> None:
        """Stop everything and remove it with its volumes, and what the home knows of it."""
        with step("containers and volumes removed"):
            self._compose("down", "--volumes")
        self.home.remove(DATA_NAMES if only_data else OWN_NAMES)

    def start(self, name: str) -> None:
        """Start one service and wait until it is healthy."""
        with step(f"{name} up"):
            self._compose("up", "--detach", "--wait", name)

    def stop(self, name: str) -> None:
        """Stop one service gracefully."""
        with step(f"{name} stopped"):
            self._compose("stop", name)

    def kill(self, name: str) -> None:
        """SIGKILL one service, as a crash would."""
        with step(f"{name} killed"):
            self._compose("kill", name)

    def status(self) -> list[Row]:
        """How each chosen service is now."""
        chosen = recall(self.home)
        found = {row.service: row for row in self._rows()}
        own = [found.get(name) or Row(name, "-", "down", None, self._addresses(name), 0) for name in chosen.own]
        return [*own, *given_rows(chosen.given)]

    def _rows(self) -> list[Row]:
        rows = []
        for line in self._compose("ps", "--all", "--format", "json").splitlines():
            it = json.loads(line)
            state = "up" if it["Health"] == "healthy" else it["Health"] or it["State"]
            version = it["Image"].rpartition(":")[2]
            rows.append(Row(it["Service"], version, state, None, self._addresses(it["Service"]), 0))
        return rows

    def _addresses(self, service: str) -> str:
        return " ".join(str(self.ports.get(listener) or "-") for listener in _PORTS[service])

    def _compose(self, *arguments: str) -> str:
        command = ["docker", "compose", "--project-name", self._project, "--env-file", os.devnull]
        command += ["--file", str(REPOSITORY / "docker-compose.yml")]
        done = subprocess.run(
            [*command, *arguments],
            env=self._variables(),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode != 0:
            raise SandboxError(
                f"`docker compose {' '.join(arguments)}` failed",
                "its own words are below",
                "Mend it and run the command again",
                evidence=done.stderr.strip()[-2000:],
            )
        return done.stdout

    def _variables(self) -> dict[str, str]:
        """Our passwords and ports over the caller's environment."""
        passwords = {f"{service.upper()}_PASSWORD": self.home.secret(service) for service in SERVICES}
        ports = {
            variable: str(self.ports.get(listener))
            for listeners in _PORTS.values()
            for listener, variable in listeners.items()
            if self.ports.get(listener)
        }
        return {**os.environ, **dict.fromkeys(_UNUSED, "unused"), **passwords, **ports, "COMPOSE_PROFILES": ""}


def explain() -> None:
    """Say what is not as in the sandbox."""
    say("the sandbox cannot run here and a Docker engine answers: using Compose's RabbitMQ, Redis and PostgreSQL")
