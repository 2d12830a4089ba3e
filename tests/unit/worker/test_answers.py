"""Answers that are written together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.worker.answers import together


class Transport:
    """As much of py-amqp's as is used."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.broken = False
        self._write = self._send

    def write(self, data: bytes) -> None:
        self._write(data)

    def _send(self, data: bytes) -> None:
        if self.broken:
            raise ConnectionResetError("RabbitMQ is away")
        self.sent.append(bytes(data))


def channel(transport: Transport, *, connected: bool = True) -> Any:
    return SimpleNamespace(connection=SimpleNamespace(connected=connected, transport=transport))


def test_what_is_sent_meanwhile_is_one_write_and_what_is_sent_later_its_own() -> None:
    transport = Transport()
    with together(channel(transport), (OSError,)):
        transport.write(b"ack 1")
        transport.write(memoryview(b"ack 2"))
        assert transport.sent == []
    transport.write(b"ack 3")
    assert transport.sent == [b"ack 1ack 2", b"ack 3"]


def test_nothing_sent_is_nothing_written() -> None:
    transport = Transport()
    with together(channel(transport), (OSError,)):
        pass
    assert transport.sent == []


def test_a_connection_that_breaks_takes_nobody_along(caplog: pytest.LogCaptureFixture) -> None:
    transport = Transport()
    with together(channel(transport), (OSError,)):
        transport.write(b"ack 1")
        transport.broken = True
    assert "could not be sent" in caplog.text


def test_what_was_sent_before_a_defect_is_written_all_the_same() -> None:
    transport = Transport()
    with pytest.raises(ZeroDivisionError), together(channel(transport), (OSError,)):
        transport.write(b"ack 1")
        raise ZeroDivisionError
    assert transport.sent == [b"ack 1"]


@pytest.mark.parametrize("gone", [channel(Transport(), connected=False), SimpleNamespace(connection=None)])
def test_a_connection_that_is_gone_is_left_alone(gone: Any) -> None:
    with together(gone, (OSError,)):
        pass
