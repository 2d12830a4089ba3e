"""Answers that are written together, as py-amqp would write them one by one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from amqp import spec
from amqp.serialization import dumps

from holdfast.engine.execute import Disposition
from holdfast.worker.answers import answer


class Transport:
    """As much of py-amqp's as is used."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.broken = False

    def write(self, data: bytes) -> None:
        if self.broken:
            raise ConnectionResetError("RabbitMQ is away")
        self.sent.append(data)


def channel(transport: Transport, *, connected: bool = True) -> Any:
    connection = SimpleNamespace(connected=connected, transport=transport, bytes_sent=0)
    return SimpleNamespace(connection=connection, channel_id=3)


def framed(method: tuple[int, int], form: str, *values: Any) -> bytes:
    payload = dumps("BB" + form, [*method, *values])
    return b"\x01\x00\x03" + len(payload).to_bytes(4) + payload + b"\xce"


def test_all_that_ended_is_one_write_as_py_amqp_writes_it() -> None:
    transport = Transport()
    ended = [(7, Disposition.ACK), (2**40, Disposition.DEAD_LETTER), (9, Disposition.GIVE_BACK)]
    answer(channel(transport), ended, (OSError,))
    assert transport.sent == [
        framed(spec.Basic.Ack, "Lb", 7, False)
        + framed(spec.Basic.Reject, "Lb", 2**40, False)
        + framed(spec.Basic.Nack, "Lbb", 9, False, True)
    ]


def test_a_heartbeat_is_not_due_after_an_answer() -> None:
    to = channel(Transport())
    answer(to, [(1, Disposition.ACK)], (OSError,))
    assert to.connection.bytes_sent == 1


def test_a_connection_that_breaks_takes_nobody_along(caplog: pytest.LogCaptureFixture) -> None:
    transport = Transport()
    transport.broken = True
    answer(channel(transport), [(1, Disposition.ACK)], (OSError,))
    assert "could not be sent" in caplog.text


@pytest.mark.parametrize("gone", [channel(Transport(), connected=False), SimpleNamespace(connection=None)])
def test_a_connection_that_is_gone_is_left_alone(gone: Any) -> None:
    answer(gone, [(1, Disposition.ACK)], (OSError,))
