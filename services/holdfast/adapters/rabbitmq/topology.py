"""Exchanges, queues, bindings and policies on a running broker.

Code declares only what two processes can never disagree about: names, `x-queue-type: quorum`, and the TTL and
dead-letter exchange that make a retry queue one. Everything else is a policy, which `holdfast topology apply`
sets and which can change without redeclaring anything. The dead queue comes first: a queue that dead-letters at
least once must have somewhere to put its messages.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import amqp
import httpx

from holdfast.adapters.rabbitmq.connection import connect
from holdfast.domain.errors import BrokerUnavailable
from holdfast.domain.topology import DEAD, DELIVERY_LIMIT, DLX, JOBS, RETRY, WORK, retry_queues, work_queue

QUORUM = {"x-queue-type": "quorum"}
UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class Policy:
    """A RabbitMQ policy for the quorum queues whose names match `pattern`."""

    name: str
    pattern: str
    definition: dict[str, Any]

    def body(self) -> dict[str, Any]:
        """As the management API wants it."""
        return {"pattern": self.pattern, "definition": self.definition, "priority": 10, "apply-to": "quorum_queues"}


POLICIES = (
    Policy(
        "holdfast-work",
        rf"^holdfast\.({'|'.join(WORK)})$",
        {
            "dead-letter-exchange": DLX,
            "dead-letter-strategy": "at-least-once",
            "overflow": "reject-publish",
            "delivery-limit": DELIVERY_LIMIT,
        },
    ),
    Policy(
        "holdfast-retry",
        r"^holdfast\.retry\.",
        {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish", "delivery-limit": UNLIMITED},
    ),
    Policy("holdfast-dead", r"^holdfast\.dead$", {"overflow": "reject-publish", "delivery-limit": UNLIMITED}),
)


def declare(channel: amqp.Channel) -> None:
    """Declare every exchange, queue and binding; idempotent."""
    for exchange in (DLX, JOBS, RETRY):
        channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
    for queue, exchange, key, arguments in _queues():
        channel.queue_declare(queue, durable=True, auto_delete=False, arguments=arguments)
        channel.queue_bind(queue, exchange, key)


def _queues() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Name, exchange, binding key and arguments of every queue, the dead queue first."""
    yield DEAD, DLX, "#", QUORUM
    for name in WORK:
        yield work_queue(name), JOBS, f"#.{name}", QUORUM
    for retry in retry_queues():
        yield retry.name, RETRY, retry.binding, QUORUM | {"x-message-ttl": retry.ttl_ms, "x-dead-letter-exchange": JOBS}


def queue_names() -> list[str]:
    """Every queue of the topology."""
    return [name for name, _, _, _ in _queues()]


class Management:
    """The part of RabbitMQ's management API that Holdfast uses. Raises BrokerUnavailable."""

    def __init__(self, url: str, vhost: str) -> None:
        parts = urlsplit(url)
        base = f"{parts.scheme}://{parts.hostname}:{parts.port or 15672}{parts.path.rstrip('/')}/api/"
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        trust = base.startswith("https:") or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # of nobody: no megabyte of roots
        self._client = httpx.Client(base_url=base, auth=(self._user, self._password), timeout=10.0, verify=trust)
        self._vhost = quote(vhost, safe="")

    def apply(self) -> list[str]:
        """Set every policy that is missing or different."""
        changes = self.diff()
        for policy in POLICIES if changes else ():
            self._call("PUT", f"policies/{self._vhost}/{policy.name}", policy.body())
        return changes

    def diff(self) -> list[str]:
        """What differs from the wanted policies and queues, a sentence each; empty when nothing does."""
        found = {policy["name"]: policy for policy in self._call("GET", f"policies/{self._vhost}")}
        return [*_policy_changes(found), *_queue_changes(self.queues())]

    def queues(self) -> dict[str, dict[str, Any]]:
        """Every queue of the virtual host by its name, with counts that are some seconds old."""
        return {queue["name"]: queue for queue in self._call("GET", f"queues/{self._vhost}")}

    def version(self) -> str:
        """The broker's version."""
        return str(self._call("GET", "overview")["rabbitmq_version"])

    def alarms(self) -> list[str]:
        """The alarms in force, `memory on rabbit@localhost`: while there is one, nothing can be published."""
        kinds = {"mem_alarm": "memory", "disk_free_alarm": "disk"}
        nodes = self._call("GET", "nodes")
        return [f"{word} on {node['name']}" for node in nodes for kind, word in kinds.items() if node.get(kind)]

    def adopt_password(self, old: str) -> bool:
        """Change the user's password from `old` to the one in the URL; False when that is good already.

        The user must be an administrator. A crash in between leaves one of the two good, so running it again is safe.
        """
        if self._client.get("whoami").is_success:
            return False
        self._client.auth = httpx.BasicAuth(self._user, old)
        try:
            path = f"users/{quote(self._user, safe='')}"
            tags = self._call("GET", path)["tags"]
            self._call("PUT", path, {"password": self._password, "tags": ",".join(tags)})
        finally:
            self._client.auth = httpx.BasicAuth(self._user, self._password)
        return True

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        try:
            response = self._client.request(method, path, json=body)
            response.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise BrokerUnavailable(
                f"RabbitMQ's management API answered {error.response.status_code} to {method} {path}; "
                "check the user in HOLDFAST_RABBITMQ_MANAGEMENT_URL, which needs the tag policymaker or administrator"
            ) from error
        except httpx.HTTPError as error:
            raise BrokerUnavailable(f"RabbitMQ's management API does not answer: {error}") from error
        return response.json() if response.content else None


def _policy_changes(found: dict[str, Any]) -> Iterator[str]:
    for policy in POLICIES:
        present = found.get(policy.name)
        if present is None:
            yield f"policy {policy.name} is missing"
        elif any(present[key] != value for key, value in policy.body().items()):
            yield f"policy {policy.name} is {present['definition']} on {present['pattern']}, not {policy.definition}"


def _queue_changes(found: dict[str, Any]) -> Iterator[str]:
    for name, _, _, arguments in _queues():
        queue = found.get(name)
        if queue is None:
            yield f"queue {name} is missing"
        elif any(queue["arguments"].get(key) != value for key, value in arguments.items()):
            yield f"queue {name} has the arguments {queue['arguments']}, not {arguments}; drain it and delete it"


class TopologyKeeper:
    """Both halves together: what is declared over AMQP, and what is set over the management API."""

    def __init__(self, url: str, management: Management) -> None:
        self._url, self._management = url, management

    def apply(self) -> list[str]:
        """Put right what differs; return it. Raises BrokerUnavailable."""
        differences = self._management.diff()
        if differences:
            connection = connect(self._url, name="holdfast topology")
            declare(connection.channel())
            connection.close()
            self._management.apply()
        return differences

    def close(self) -> None:
        """Close the connections."""
        self._management.close()
