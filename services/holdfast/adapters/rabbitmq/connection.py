"""Open AMQP connections that cannot hang.

py-amqp waits for ever unless it is told otherwise, so every connection has connect, read and write timeouts and
TCP user timeouts, and announces `connection.blocked` so that a memory alarm is news rather than silence.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import amqp

from holdfast import __version__
from holdfast.domain.errors import BrokerUnavailable

LEAST_VERSION = (4, 3, 5)
"""Quorum queues have strict priorities from 4.3, and 4.3.5 is the first release that was measured."""
PASSING = (OSError, amqp.RecoverableConnectionError, amqp.ConnectionError, amqp.RecoverableChannelError)
"""What py-amqp raises when the broker is away, restarting, or closing connections."""


def connect(
    url: str,
    *,
    name: str,
    timeout: float = 5.0,
    heartbeat: int = 30,
    on_blocked: Callable[[str], object] | None = None,
    on_unblocked: Callable[[], object] | None = None,
) -> amqp.Connection:
    """Connect and check the broker's version; raise BrokerUnavailable. `name` shows in the management UI."""
    parts = urlsplit(url)
    secure = parts.scheme == "amqps"
    connection = amqp.Connection(
        host=f"{parts.hostname}:{parts.port or (5671 if secure else 5672)}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
        ssl={"context": {"check_hostname": True}, "server_hostname": parts.hostname} if secure else False,
        connect_timeout=timeout,
        read_timeout=timeout,
        write_timeout=timeout,
        heartbeat=heartbeat,
        on_blocked=on_blocked,
        on_unblocked=on_unblocked,
        client_properties={"connection_name": name, "product": "holdfast", "product_version": __version__},
    )
    try:
        connection.connect()
    except amqp.AccessRefused as error:
        raise BrokerUnavailable(
            f"RabbitMQ at {parts.hostname}:{parts.port} refused the user {parts.username!r}; "
            "check the user, the password and the virtual host in HOLDFAST_RABBITMQ_URL"
        ) from error
    except (*PASSING, amqp.AMQPError) as error:
        raise BrokerUnavailable(f"RabbitMQ at {parts.hostname}:{parts.port} does not answer: {error}") from error
    _check_version(connection)
    return connection


def _check_version(connection: amqp.Connection) -> None:
    version = connection.server_properties.get("version", "0")
    if tuple(int(part) for part in version.split("-")[0].split(".")[:3] if part.isdigit()) < LEAST_VERSION:
        connection.close()
        least = ".".join(map(str, LEAST_VERSION))
        raise BrokerUnavailable(
            f"RabbitMQ is {version}, but Holdfast needs {least} or newer, "
            "for the strict priorities and delivery limits of its quorum queues; upgrade the broker"
        )
