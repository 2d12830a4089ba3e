"""Under which names the addresses are known, which are ours, and which somebody gave us."""

from __future__ import annotations

import socket
import urllib.parse
from collections.abc import Collection, Mapping

from .home import Home
from .ports import LOOPBACK, Ports
from .services.base import DATABASE, USER
from .services.rabbitmq import VHOST

NAMES: dict[str, tuple[str, ...]] = {
    "rabbitmq": ("HOLDFAST_RABBITMQ_URL", "HOLDFAST_RABBITMQ_MANAGEMENT_URL", "HOLDFAST_RABBITMQ_PROMETHEUS_URL"),
    "redis": ("HOLDFAST_REDIS_URL",),
    "postgres": ("HOLDFAST_POSTGRES_URL",),
    "prometheus": ("HOLDFAST_PROMETHEUS_URL",),
}
"""Per service; the first name is the one that makes a service given."""

_DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379, "http": 80, "https": 443}
_POSTGRES_PORT = 5432


def own_addresses(service: str, home: Home, ports: Ports) -> dict[str, str]:
    """The addresses of our own service. Its ports must have been chosen."""
    values: tuple[str, ...]
    match service:
        case "rabbitmq":
            account = f"{USER}:{home.secret('rabbitmq')}@{LOOPBACK}"
            values = (
                f"amqp://{account}:{ports['amqp']}/{VHOST}",
                f"http://{account}:{ports['management']}",
                f"http://{LOOPBACK}:{ports['rabbitmq-metrics']}",
            )
        case "redis":
            values = (f"redis://:{home.secret('redis')}@{LOOPBACK}:{ports['redis']}/0",)
        case "postgres":
            account = f"{USER}:{home.secret('postgres')}@{LOOPBACK}"
            values = (f"postgresql+asyncpg://{account}:{ports['postgres']}/{DATABASE}",)
        case "prometheus":
            values = (f"http://{LOOPBACK}:{ports['prometheus']}",)
        case _:
            return {}
    return dict(zip(NAMES[service], values, strict=True))


def given_addresses(
    home: Home, ports: Ports, environ: Mapping[str, str], choice: Collection[str]
) -> dict[str, dict[str, str]]:
    """Per service the addresses that the environment gives. Our own, loaded from the env file, are not given."""
    given = {}
    for service in choice:
        names = NAMES[service]
        url = environ.get(names[0])
        if url and url != _own_url(service, home, ports):
            given[service] = {name: environ[name] for name in names if environ.get(name)}
    return given


def reachable(url: str, seconds: float = 3.0) -> bool:
    """Does anything listen at the host and port of this URL?"""
    parts = urllib.parse.urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, _POSTGRES_PORT)
    try:
        socket.create_connection((parts.hostname or LOOPBACK, port), timeout=seconds).close()
    except OSError:
        return False
    return True


def _own_url(service: str, home: Home, ports: Ports) -> str | None:
    try:
        return own_addresses(service, home, ports)[NAMES[service][0]]
    except KeyError:  # no port was ever chosen: nothing of ours exists yet
        return None
