"""Answers to messages, written together: one word to the kernel, and one packet to RabbitMQ, for many of them.

py-amqp writes every acknowledgement by itself. Each time the consumer's thread lets go of the interpreter's lock, and
waits for it where an event loop has work in the same process; and RabbitMQ reads as many packets.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)


@contextmanager
def together(channel: Any, connection_errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Write whatever is sent on a channel of py-amqp in this context at its end.

    What a broken connection does not take is logged: those messages come back by themselves.
    """
    if channel.connection is None or not channel.connection.connected:
        yield
        return
    transport, written = channel.connection.transport, bytearray()
    write, transport._write = transport._write, written.extend
    try:
        yield
    finally:
        transport._write = write
        try:
            if written:
                transport.write(bytes(written))
        except connection_errors as error:
            log.warning("answers to messages could not be sent: %s", error)
