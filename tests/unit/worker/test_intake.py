"""Tickets are read from the frames of a connection; what is none is left to py-amqp, whole and in its place."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from amqp import RecoverableConnectionError
from amqp.serialization import dumps
from amqp.transport import TCPTransport

from holdfast.adapters.rabbitmq.delivery import Delivery
from holdfast.adapters.rabbitmq.message import encode
from holdfast.domain.envelope import Envelope
from holdfast.domain.topology import Route
from holdfast.worker.intake import Intake
from holdfast.worker.ticket import hints_of, ticket_of

CHANNEL = 3
JOB = UUID(int=7)
ENVELOPE = Envelope(
    job_id=JOB,
    attempt=2,
    token=1,
    kind="webhook.dispatch",
    idempotency_key="key ключ",
    route=Route("holdfast.jobs", "2s.1.webhook"),
    priority=12,
    enqueued_at=datetime(2026, 1, 2, tzinfo=UTC),
    traceparent=f"00-{'ab' * 16}-{'cd' * 8}-01",
)
MADE = encode(ENVELOPE)
HEARTBEAT = (8, 0, b"")
PLAIN = (1, CHANNEL, struct.pack(">HH", 60, 31))
"""Another method on the channel."""


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(tag: int, *, redelivered: bool = False) -> bytes:
    names = dumps("sLbss", ["None3", tag, redelivered, "holdfast.jobs", "2s.1.webhook"])
    return struct.pack(">HH", 60, 60) + names


def delivered(tag: int, header: bytes = MADE.header, body: bytes = MADE.body, channel: int = CHANNEL) -> list[Any]:
    return [(1, channel, method(tag)), (2, channel, header), (3, channel, body)]


def with_headers(**headers: Any) -> bytes:
    table = dumps("F", [headers])
    return struct.pack(">HHQH", 60, 0, len(MADE.body), 0xE000) + b"\x10application/json\x05utf-8" + table


class World:
    """A connection of py-amqp's whose other end is the test's."""

    def __init__(self) -> None:
        self.broker, own = socket.socketpair()
        transport = TCPTransport.__new__(TCPTransport)
        transport.sock, transport.connected, transport.raise_on_initial_eintr = own, True, True
        transport._setup_transport()
        self.transport, self.left = transport, list[tuple[int, int, bytes]]()
        self.connection = SimpleNamespace(
            connected=True, transport=transport, bytes_recv=0, blocking_read=self._blocking_read
        )
        self.taken = list[Delivery]()
        self.wanted = True
        self.channel = SimpleNamespace(channel_id=CHANNEL, connection=self.connection)
        self.intake = Intake(self.channel, self._take)

    def come(self, *frames: Any) -> None:
        self.broker.sendall(b"".join(frame(*each) for each in frames))
        self.intake.readable()

    def close(self) -> None:
        self.broker.close()
        self.transport.sock.close()

    def _blocking_read(self, timeout: float) -> None:
        with self.transport.having_timeout(timeout):
            self.left.append(self.transport.read_frame())

    def _take(self, delivery: Delivery) -> bool:
        if self.wanted:
            self.taken.append(delivery)
        return self.wanted


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def test_a_ticket_is_read_with_all_that_it_says(world: World) -> None:
    world.come((1, CHANNEL, method(5, redelivered=True)), *delivered(0)[1:])
    (delivery,) = world.taken
    ((job_id, attempt), _, _) = delivery.payload
    ticket, hints = ticket_of(delivery, job_id, attempt), hints_of(delivery)
    assert (delivery.channel, delivery.delivery_tag, delivery.headers["task"]) == (world.channel, 5, "holdfast.execute")
    assert (ticket.job_id, ticket.attempt, ticket.redelivered) == (JOB, 2, True)
    assert (hints.kind, hints.idempotency_key, hints.traceparent) == (
        "webhook.dispatch",
        "key ключ",
        ENVELOPE.traceparent,
    )
    assert hints.ready_at is not None
    assert (hints.ready_at - ENVELOPE.enqueued_at).total_seconds() == pytest.approx(2.2)
    assert not world.left


def test_what_a_redelivery_or_a_dead_letter_adds_to_the_headers_is_passed_over(world: World) -> None:
    death = {"queue": "q", "count": 3, "time": datetime(2026, 1, 1, tzinfo=UTC), "routing-keys": ["a", "b"]}
    odd = {"x-delivery-count": 2**40, "a": None, "b": True, "c": 1.5, "d": Decimal("1.5"), "e": 2**31, "f": b"raw"}
    world.come(*delivered(1, header=with_headers(**odd, **{"x-death": [death], "holdfast-kind": "webhook.dispatch"})))
    assert world.taken[0].headers == {"f": "raw", "holdfast-kind": "webhook.dispatch"}
    assert not world.left


def test_many_come_in_one_read_among_other_frames_and_each_goes_its_way(world: World) -> None:
    world.come(*delivered(1), HEARTBEAT, *delivered(2), PLAIN, *delivered(3))
    assert [delivery.delivery_tag for delivery in world.taken] == [1, 2, 3]
    assert world.left == [HEARTBEAT, PLAIN]


def test_it_does_not_matter_in_which_pieces_they_come(world: World) -> None:
    stream = b"".join(frame(*each) for each in (*delivered(1), HEARTBEAT, *delivered(2)))
    for place in range(len(stream)):
        world.broker.sendall(stream[place : place + 1])
        world.intake.readable()
    assert [delivery.delivery_tag for delivery in world.taken] == [1, 2]
    assert world.left == [HEARTBEAT]


OTHERS = {
    "on another channel": delivered(1, channel=4),
    "not JSON": delivered(1, header=MADE.header.replace(b"application/json", b"application/yaml")),
    "JSON that is none": delivered(1, body=b"{" * len(MADE.body)),
    "with no headers": delivered(1, header=struct.pack(">HHQH", 60, 0, len(MADE.body), 0)),
    "longer than a frame": [*delivered(1, body=MADE.body[:20]), (3, CHANNEL, MADE.body[20:])],
    "with a frame in its midst": [delivered(1)[0], HEARTBEAT, *delivered(1)[1:]],
    "without a body": [*delivered(1, header=struct.pack(">HHQH", 60, 0, 0, 0xE000))[:2], HEARTBEAT],
    "with a text that is none": delivered(1, header=with_headers(name="text").replace(b"text", b"\xff\xff\xff\xff")),
    "of a type that is not known": delivered(1, header=with_headers(name=None).replace(b"nameV", b"name?")),
    "that ends too soon": delivered(1, header=with_headers(name="text").replace(b"\x04text", b"\xf4text")),
}


@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS)
def test_a_message_of_another_form_is_left_to_py_amqp_as_it_is(world: World, others: list[Any]) -> None:
    world.come(*delivered(8), *others, *delivered(9))
    assert world.left == others
    assert [delivery.delivery_tag for delivery in world.taken] == [8, 9]


def test_a_message_that_is_no_ticket_is_left_to_py_amqp_too(world: World) -> None:
    world.wanted = False
    world.come(*delivered(1))
    assert world.left == delivered(1)


def test_what_py_amqp_reads_by_itself_meanwhile_is_not_read_again(world: World) -> None:
    """A declaration waits for its answer, and reads what comes before that."""
    half = frame(*delivered(1)[0])
    world.broker.sendall(half[:9])
    world.intake.readable()
    world.broker.sendall(half[9:] + frame(*HEARTBEAT))
    world._blocking_read(0)
    world.come(*delivered(2))
    assert world.left == [delivered(1)[0], HEARTBEAT]
    assert [delivery.delivery_tag for delivery in world.taken] == [2]


def test_a_connection_that_rabbitmq_ends_is_lost_after_what_it_said_last(world: World) -> None:
    world.broker.sendall(b"".join(frame(*each) for each in (*delivered(1), HEARTBEAT)))
    world.broker.close()
    world.intake.readable()
    assert world.taken
    assert world.left == [HEARTBEAT]
    with pytest.raises(ConnectionResetError):
        world.intake.readable()
    assert not world.transport.connected


def test_nothing_is_read_from_a_connection_that_is_closed(world: World) -> None:
    world.connection.connected = False
    with pytest.raises(RecoverableConnectionError):
        world.intake.readable()
