"""The pipelined publisher against a real broker, and against one that is not there."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from struct import Struct

import amqp
import pytest

from broker_proxy import Proxy, certificate
from harness import free_port
from holdfast.adapters.rabbitmq.publisher import Publisher
from holdfast.domain.errors import BrokerUnavailable, Unroutable
from holdfast.domain.topology import Route, to_work, work_queue
from holdfast.settings import Settings
from tickets import ticket


async def test_a_confirmed_message_is_in_its_queue(publisher: Publisher, channel: amqp.Channel) -> None:
    envelope = ticket(to_work("custom"), priority=24)
    await publisher.publish(envelope)
    message = channel.basic_get(work_queue("custom"), no_ack=True)
    assert json.loads(message.body)[:2] == [[str(envelope.job_id), 1], {}]
    assert message.properties["delivery_mode"] == 2
    assert message.headers["task"] == "holdfast.execute"
    assert message.headers["idempotency-key"] == "key"


async def test_a_message_that_no_queue_takes_fails_alone(publisher: Publisher, channel: amqp.Channel) -> None:
    good = [publisher.publish(ticket(to_work("custom"))) for _ in range(20)]
    lost = publisher.publish(ticket(Route("holdfast.jobs", "nowhere")))
    results = await asyncio.gather(*good[:10], lost, *good[10:], return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [Unroutable]
    channel.queue_purge(work_queue("custom"))


async def test_of_many_published_together_each_has_its_answer(publisher: Publisher, channel: amqp.Channel) -> None:
    many = [ticket(to_work("custom")) for _ in range(700)]
    many[300] = ticket(Route("holdfast.jobs", "nowhere"))
    answers = await publisher.publish_all(many)
    assert [place for place, answer in enumerate(answers) if answer is not None] == [300]
    assert isinstance(answers[300], Unroutable)
    assert channel.queue_purge(work_queue("custom")) == 699


async def test_thousands_in_flight_are_each_confirmed(publisher: Publisher, channel: amqp.Channel) -> None:
    await asyncio.gather(*(publisher.publish(ticket(to_work("custom"))) for _ in range(3_000)))
    found = 0
    while channel.basic_get(work_queue("custom"), no_ack=True) is not None:
        found += 1
    assert found == 3_000


async def test_a_broker_that_is_not_there_fails_the_first_call_in_time_and_the_next_at_once() -> None:
    publisher = Publisher(f"amqp://127.0.0.1:{free_port()}/", timeout=2.0)
    try:
        for _ in range(2):
            with pytest.raises(BrokerUnavailable, match="does not answer"):
                await asyncio.wait_for(publisher.publish(ticket(to_work("custom"))), 30.0)
    finally:
        publisher.close()


async def test_a_broker_that_accepts_and_says_nothing_cannot_hang_a_publication() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publisher = Publisher(f"amqp://127.0.0.1:{silent.getsockname()[1]}/", timeout=1.0)
        try:
            with pytest.raises(BrokerUnavailable):
                await asyncio.wait_for(publisher.publish(ticket(to_work("custom"))), 10.0)
        finally:
            publisher.close()


async def test_publications_survive_the_loss_of_the_connection(broker: Settings, channel: amqp.Channel) -> None:
    proxy = Proxy(broker.rabbitmq_url.get_secret_value())
    publisher = Publisher(proxy.url, timeout=3.0)
    try:
        await publisher.publish(ticket(to_work("custom")))
        proxy.cut()
        with pytest.raises(BrokerUnavailable):
            await publisher.publish(ticket(to_work("custom")))
        async with asyncio.timeout(10.0):
            while True:
                try:
                    await publisher.publish(ticket(to_work("custom")))
                    break
                except BrokerUnavailable:
                    await asyncio.sleep(0.05)
    finally:
        publisher.close()
        proxy.close()
        channel.queue_purge(work_queue("custom"))


async def test_a_connection_that_rabbitmq_takes_leave_of_is_made_anew(broker: Settings, channel: amqp.Channel) -> None:
    publisher = Publisher(broker.rabbitmq_url.get_secret_value())
    try:
        await publisher.publish(ticket(to_work("custom")))
        assert publisher._wire is not None
        first = publisher._wire
        # What RabbitMQ says when it is stopped, or when somebody closes the connection in its management.
        payload = Struct(">HHH").pack(10, 50, 320) + b"\x07goodbye" + b"\x00" * 4
        first._in += Struct(">BHI").pack(1, 0, len(payload)) + payload + b"\xce"
        first._readable()
        async with asyncio.timeout(20.0):
            while publisher._wire in {first, None}:
                await asyncio.sleep(0.02)
        await publisher.publish(ticket(to_work("custom")))
        await publisher.ping()
    finally:
        publisher.close()
        channel.queue_purge(work_queue("custom"))


async def test_what_comes_in_pieces_is_put_together(broker: Settings, channel: amqp.Channel) -> None:
    proxy = Proxy(broker.rabbitmq_url.get_secret_value(), chunk=50)
    publisher = Publisher(proxy.url, timeout=60.0)
    try:
        await asyncio.gather(*(publisher.publish(ticket(to_work("custom"))) for _ in range(20)))
        with pytest.raises(Unroutable):
            await publisher.publish(ticket(Route("holdfast.jobs", "nowhere")))
        await publisher.publish(ticket(to_work("custom")))
    finally:
        publisher.close()
        proxy.close()
        channel.queue_purge(work_queue("custom"))


async def test_a_broker_behind_tls_confirms_more_than_a_socket_takes_at_a_time(
    broker: Settings, channel: amqp.Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate(tmp_path)))
    proxy = Proxy(broker.rabbitmq_url.get_secret_value(), tls=tmp_path)
    publisher = Publisher(proxy.url, timeout=60.0, window=2_000)
    try:
        await asyncio.gather(*(publisher.publish(ticket(to_work("custom"))) for _ in range(2_000)))
    finally:
        publisher.close()
        proxy.close()
        channel.queue_purge(work_queue("custom"))


async def test_a_publisher_that_is_closed_fails_what_waits(broker: Settings, channel: amqp.Channel) -> None:
    publisher = Publisher(broker.rabbitmq_url.get_secret_value())
    waiting = [asyncio.create_task(publisher.publish(ticket(to_work("custom")))) for _ in range(5)]
    await asyncio.sleep(0)
    publisher.close()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {BrokerUnavailable}
    with pytest.raises(BrokerUnavailable, match="was closed"):
        await publisher.publish(ticket(to_work("custom")))
    channel.queue_purge(work_queue("custom"))
