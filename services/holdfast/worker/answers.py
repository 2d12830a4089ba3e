"""Answers to messages, written together: one word to the kernel, and one packet to RabbitMQ, for many of them.

py-amqp writes every acknowledgement by itself. Each time the consumer's thread lets go of the interpreter's lock, and
waits for it where an event loop has work in the same process; and RabbitMQ reads as many packets.

    disposition     method           the delivery limit
    ACK             basic.ack
    DEAD_LETTER     basic.reject     it is dead-lettered, whatever was counted
    GIVE_BACK       basic.nack       nobody is to blame: a quorum queue does not count it
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from struct import Struct
from typing import Any

from holdfast.adapters.rabbitmq.wire import END, METHOD
from holdfast.engine.execute import Disposition

log = logging.getLogger(__name__)

BASIC = 60
_METHODS = {Disposition.ACK: (80, 0), Disposition.DEAD_LETTER: (90, 0), Disposition.GIVE_BACK: (120, 0b10)}
"""The method, and its bits: only the last one requeues, and each is about one message."""
_frame = Struct(">BHIHHQBB")
_SIZE = 13


def answer(
    channel: Any, answers: Iterable[tuple[int, Disposition]], connection_errors: tuple[type[Exception], ...]
) -> None:
    """Write what becomes of the messages with these delivery tags.

    What a broken connection does not take is logged: those messages come back by themselves.
    """
    connection = channel.connection
    if connection is None or not connection.connected:
        return
    written = b"".join(_framed(channel.channel_id, tag, *_METHODS[disposition]) for tag, disposition in answers)
    connection.bytes_sent += 1  # py-amqp counts what happens to know when a heartbeat is due
    try:
        connection.transport.write(written)
    except connection_errors as error:
        log.warning("answers to messages could not be sent: %s", error)


def _framed(channel: int, tag: int, method: int, bits: int) -> bytes:
    return _frame.pack(METHOD, channel, _SIZE, BASIC, method, tag, bits, END)
