"""The pipelined publisher against a real broker, and against one that is not there."""

from __future__ import annotations

import asyncio
import json
import socket
import threading

import amqp
import pytest

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
                await asyncio.wait_for(publisher.publish(ticket(to_work("custom"))), 5.0)
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


class Proxy:
    """A TCP proxy to the broker whose connections can be cut in the middle."""

    def __init__(self, target: str) -> None:
        from urllib.parse import urlsplit

        parts = urlsplit(target)
        self._target = parts.hostname or "", parts.port or 5672
        self._server = socket.create_server(("127.0.0.1", 0))
        netloc = parts.netloc.rsplit("@", 1)[0]
        self.url = parts._replace(netloc=f"{netloc}@127.0.0.1:{self._server.getsockname()[1]}").geturl()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection."""
        for end in self._open:
            end.close() if end.fileno() < 0 else end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            return
