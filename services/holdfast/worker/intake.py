"""Tickets as they come from RabbitMQ, read many at a time.

Celery's consumer opens the connection, declares, consumes and cancels, and has the hub tell when there is something to
read. What comes by the thousand, deliveries of tickets, is read here and goes to the pool; every other frame goes to
py-amqp, and from there the way that Celery has for it. Between two frames py-amqp has what is left, so either may read
the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amqp import RecoverableConnectionError

from holdfast.adapters.rabbitmq.delivery import Delivery, Not, frame_end, read

CHUNK = 256 * 1024
"""Bytes that are read at a time."""


class Intake:
    """Reads the connection of a channel. Belongs to the consumer's thread.

    `take` is given each delivery, and says whether it is a ticket; what is none goes to py-amqp after all.
    """

    def __init__(self, channel: Any, take: Callable[[Delivery], bool]) -> None:
        self._channel, self._take = channel, take
        self._connection = channel.connection
        self._transport = self._connection.transport

    def catch_up(self) -> None:
        """Read what TLS has decrypted already: no socket becomes readable by that."""
        if self._connection.connected:
            self.readable()

    def readable(self) -> None:
        """Read what has come; raise what the connection was lost of."""
        if not self._connection.connected:
            raise RecoverableConnectionError("the connection to RabbitMQ was closed")
        self._transport._read_buffer += self._received()
        self._connection.bytes_recv += 1  # py-amqp counts what happens to know that the connection lives
        while self._tickets():
            self._connection.blocking_read(0)

    def _tickets(self) -> bool:
        """Take the deliveries that come first; whether a frame for py-amqp is next."""
        buffer, at = self._transport._read_buffer, 0
        while isinstance(found := read(buffer, at, self._channel), tuple) and self._take(found[0]):
            at = found[1]
        self._transport._read_buffer = buffer[at:]
        return found is not Not.YET and frame_end(buffer, at) > 0

    def _received(self) -> bytes:
        received = bytearray()
        try:
            with self._transport.having_timeout(0) as sock:
                while data := sock.recv(CHUNK):
                    received += data
        except TimeoutError:  # nothing more for now
            return bytes(received)
        except OSError:
            self._transport.connected = False
            raise
        if not received:
            self._transport.connected = False
            raise ConnectionResetError("RabbitMQ has closed the connection")
        return bytes(received)
