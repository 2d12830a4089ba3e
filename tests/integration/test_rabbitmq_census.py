"""What RabbitMQ's own statistics say of a queue, as the backlog bound reads them."""

from __future__ import annotations

import asyncio

import amqp

from harness import eventually
from holdfast.adapters.rabbitmq.census import RabbitCensus
from holdfast.bootstrap import management
from holdfast.domain.errors import BrokerUnavailable
from holdfast.ports.census import QueueCount
from holdfast.settings import Settings


def test_taken_counts_every_message_once_however_often_it_came(broker: Settings, channel: amqp.Channel) -> None:
    for _ in range(5):
        channel.basic_publish(amqp.Message(b"{}"), "holdfast.jobs", "image")
    first = eventually(lambda: channel.basic_get("holdfast.image"))
    channel.basic_reject(first.delivery_tag, requeue=True)
    again = eventually(lambda: channel.basic_get("holdfast.image"))
    channel.basic_reject(again.delivery_tag, requeue=False)
    for _ in range(2):
        message = eventually(lambda: channel.basic_get("holdfast.image"))
        channel.basic_ack(message.delivery_tag)
    api = management(broker)

    def count() -> QueueCount | None:
        try:
            return asyncio.run(RabbitCensus(api).queues())["holdfast.image"]
        except BrokerUnavailable:  # the queues are too new to be counted
            return None

    try:
        seen = eventually(count, lambda found: found is not None and found.taken >= 3 and found.ready == 2)
        assert seen == QueueCount(ready=2, taken=3)
    finally:
        api.close()
