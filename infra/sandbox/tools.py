"""Run a service's own command line tool inside the sandbox, already told where the service is.

`rabbitmqctl`, `rabbitmq-diagnostics`, `psql`, `redis-cli`, `promtool`; the current folder is at /work.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from .errors import SandboxError
from .ports import LOOPBACK
from .services import Place, Postgres
from .services.rabbitmq import RabbitMQ, node_environment

_PLACES = ("usr/lib/rabbitmq/bin", "usr/lib/postgresql/18/bin", "usr/bin")


def become(place: Place, argv: Sequence[str]) -> NoReturn:
    """Replace this process by the tool."""
    if not argv:
        raise SandboxError(
            "No tool was named", "`exec` runs one", "For example: `python3 infra/sandbox exec rabbitmqctl status`"
        )
    program = _find(place.root.path, argv[0])
    arguments = list(argv[1:])
    if argv[0] == "redis-cli":
        arguments = ["-h", LOOPBACK, "-p", str(place.ports["redis"]), *arguments]
    environ = {
        **node_environment(place),
        **Postgres(place).client_environment(),
        "REDISCLI_AUTH": place.home.secret("redis"),
        "TERM": os.environ.get("TERM", "dumb"),
    }
    rabbitmq = RabbitMQ(place)
    binds = {rabbitmq.data: "/data", rabbitmq.etc: "/config", Path.cwd(): "/work"}
    command = place.root.command([program, *arguments], environ, binds, cwd="/work")
    os.execve(command.argv[0], list(command.argv), dict(command.environ))  # noqa: S606


def _find(root: Path, tool: str) -> str:
    for folder in _PLACES:
        if (root / folder / tool).exists() or (root / folder / tool).is_symlink():
            return f"/{folder}/{tool}"
    raise SandboxError(
        f"There is no {tool} in the sandbox", "no package of it ships that program", "See `ls` of its root folder"
    )
