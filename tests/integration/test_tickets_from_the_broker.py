"""Tickets read from a real broker, over TCP, in pieces, and over TLS; and answered."""

from __future__ import annotations

import select
import time
from pathlib import Path
from types import SimpleNamespace

import amqp
import pytest

from broker_proxy import Proxy, certificate
from holdfast.adapters.rabbitmq.connection import connect
from holdfast.adapters.rabbitmq.delivery import Delivery
from holdfast.adapters.rabbitmq.publisher import Publisher
from holdfast.domain.topology import to_work, work_queue
from holdfast.engine.execute import Disposition
from holdfast.settings import Settings
from holdfast.worker.answers import answer
from holdfast.worker.intake import Intake
from tickets import ticket

MANY = 300


@pytest.mark.parametrize("way", ["as it comes", "in pieces", "over TLS"])
async def test_every_ticket_is_read_once_in_its_order_and_its_answer_is_understood(
    way: str,
    broker: Settings,
    publisher: Publisher,
    channel: amqp.Channel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, sent = work_queue("custom"), [ticket(to_work("custom")) for _ in range(MANY)]
    for envelope in sent:
        await publisher.publish(envelope)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path)))
    tls = tmp_path if way == "over TLS" else None
    proxy = Proxy(broker.rabbitmq_url.get_secret_value(), chunk=100 if way == "in pieces" else 65536, tls=tls)
    connection = connect(proxy.url, name="test intake")
    try:
        consuming = connection.channel()
        consuming.basic_consume(queue, callback=lambda _: pytest.fail("a ticket went to py-amqp"))
        taken = read(consuming, MANY)
        assert [delivery.payload[0] for delivery in taken] == [[str(envelope.job_id), 1] for envelope in sent]
        assert not any(delivery.delivery_info["redelivered"] for delivery in taken)

        tags = [delivery.delivery_tag for delivery in taken]
        given_back = [(tag, Disposition.GIVE_BACK) for tag in tags[:3]]
        answer(consuming, [(tag, Disposition.ACK) for tag in tags[3:]] + given_back, (OSError,))
        again = read(consuming, 3)
        assert {delivery.payload[0][0] for delivery in again} == {str(envelope.job_id) for envelope in sent[:3]}
        assert all(delivery.delivery_info["redelivered"] for delivery in again)
        answer(consuming, [(delivery.delivery_tag, Disposition.ACK) for delivery in again], (OSError,))
        consuming.close()  # RabbitMQ closes the channel first when an answer was none
    finally:
        connection.collect()
        proxy.close()
        left = channel.queue_purge(queue)
    assert left == 0


def read(channel: amqp.Channel, count: int) -> list[Delivery]:
    """As the hub has it read, until so many have come."""
    taken = list[Delivery]()
    intake = Intake(channel, lambda delivery: taken.append(delivery) or True)
    intake.catch_up()
    end = time.monotonic() + 20
    while len(taken) < count:
        assert time.monotonic() < end, f"{len(taken)} of {count} have come"
        if select.select([channel.connection.sock], [], [], 1)[0]:
            intake.readable()
    return taken


def test_what_was_closed_is_not_caught_up_with() -> None:
    connection = SimpleNamespace(connected=False, transport=None)
    Intake(SimpleNamespace(connection=connection), lambda _: True).catch_up()
