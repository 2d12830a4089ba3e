"""Read `holdfast.dead`, one message at a time, over a connection of its own.

py-amqp is synchronous, so each call runs in a worker thread; calls are never concurrent (the steward's archiver
is the only caller). A broken connection is dropped, and the broker hands out again what was not acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import amqp
import orjson

from holdfast.adapters.rabbitmq import topology
from holdfast.adapters.rabbitmq.connection import PASSING, connect
from holdfast.domain.dead_letter import DeadMessage
from holdfast.domain.errors import BrokerUnavailable
from holdfast.domain.topology import DEAD
from holdfast.ports.dead_queue import Delivered

T = TypeVar("T")
ATTEMPTS = range(1, 2**31)
"""What an attempt's number can be."""


class RabbitDeadQueue:
    """Implements `ports.dead_queue.DeadQueue`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._channel: amqp.Channel | None = None

    async def fetch(self, limit: int) -> Sequence[Delivered]:
        """Poll the queue until it is empty or `limit` is reached."""
        return await self._in_thread(lambda channel: _fetch(channel, limit))

    async def acknowledge(self, delivered: Delivered) -> None:
        """Ack on the connection that delivered it; after a reconnect the message simply comes again."""
        await self._in_thread(lambda channel: channel.basic_ack(delivered.tag))

    async def let_go(self) -> None:
        """Close the connection, whereupon the broker takes back what it had handed out."""
        await asyncio.to_thread(self._drop)

    async def _in_thread(self, work: Callable[[amqp.Channel], T]) -> T:
        def call() -> T:
            try:
                return work(self._open())
            except (*PASSING, amqp.AMQPError) as error:
                self._drop()
                raise BrokerUnavailable(f"the dead-letter queue cannot be read: {error}") from error

        return await asyncio.to_thread(call)

    def _open(self) -> amqp.Channel:
        if self._channel is None:
            connection = connect(self._url, name="holdfast archiver", heartbeat=0)
            channel = connection.channel()
            topology.declare(channel)
            self._channel = channel
        return self._channel

    def _drop(self) -> None:
        if self._channel is not None:
            self._channel.connection.collect()
            self._channel = None


def _fetch(channel: amqp.Channel, limit: int) -> list[Delivered]:
    found: list[Delivered] = []
    while len(found) < limit:
        message = channel.basic_get(DEAD)
        if message is None:
            break
        found.append(Delivered(message.delivery_tag, parse(message)))
    return found


def parse(message: amqp.Message) -> DeadMessage:
    """Read a message that may be anything."""
    headers = message.headers or {}
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
    job_id, attempt = _ticket(body)
    return DeadMessage(job_id, attempt, headers.get("x-first-death-reason"), _plain(headers), body)


def _ticket(body: bytes) -> tuple[UUID | None, int | None]:
    """Job id and attempt from the arguments of a Celery task message (protocol 2: `[args, kwargs, embed]`)."""
    try:
        (job_id, attempt), _, _ = orjson.loads(body)
        return (UUID(job_id), attempt) if attempt in ATTEMPTS else (None, None)
    except (ValueError, TypeError, AttributeError):
        return None, None


def _plain(value: Any) -> Any:
    """AMQP headers as JSON values."""
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case datetime():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "replace")
        case str() | int() | float() | bool() | None:
            return value
        case _:
            return str(value)
