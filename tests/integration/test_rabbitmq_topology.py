"""The topology on a real broker: what is declared, what a policy does, which way messages take."""

from __future__ import annotations

import secrets
import time
from typing import Any
from urllib.parse import urlsplit

import amqp
import pytest

from harness import eventually
from holdfast.adapters.rabbitmq import topology
from holdfast.adapters.rabbitmq.publisher import Publisher
from holdfast.adapters.rabbitmq.topology import Management
from holdfast.bootstrap import management
from holdfast.domain.backoff import BrokerWait
from holdfast.domain.errors import BrokerUnavailable
from holdfast.domain.topology import DEAD, DELIVERY_LIMIT, retry_queues, to_wait, to_work, work_queue
from holdfast.settings import Settings
from tickets import ticket


def drain(channel: amqp.Channel, queue: str) -> list[amqp.Message]:
    """Take everything out of a queue."""
    found = []
    while (message := channel.basic_get(queue, no_ack=True)) is not None:
        found.append(message)
    return found


def take(channel: amqp.Channel, queue: str, within: float = 60.0) -> amqp.Message:
    """The next message of a queue, left unacknowledged."""
    return eventually(lambda: channel.basic_get(queue), lambda message: message is not None, within=within)


def test_every_queue_is_a_quorum_queue_with_its_policy(broker: Settings) -> None:
    api = management(broker)

    def look() -> dict[str, Any]:
        return {queue["name"]: queue for queue in api._call("GET", f"queues/{api._vhost}")}

    queues = eventually(look, lambda found: all("policy" in queue for queue in found.values()))
    assert len(queues) == 4 + 1 + len(list(retry_queues()))
    assert {queue["type"] for queue in queues.values()} == {"quorum"}
    wanted = {work_queue("image"): "holdfast-work", DEAD: "holdfast-dead", "holdfast.retry.2s.0": "holdfast-retry"}
    assert {name: queues[name]["policy"] for name in wanted} == wanted


def test_a_deleted_policy_and_a_deleted_queue_show_as_differences_and_apply_repairs_them(
    broker: Settings, channel: amqp.Channel
) -> None:
    api = management(broker)
    api._call("DELETE", f"policies/{api._vhost}/holdfast-work")
    channel.queue_delete("holdfast.retry.32s.3")
    assert eventually(api.diff, lambda found: len(found) == 2) == [
        "policy holdfast-work is missing",
        "queue holdfast.retry.32s.3 is missing",
    ]
    topology.declare(channel)
    api.apply()
    eventually(api.diff, lambda found: not found)


async def test_higher_priorities_come_first(publisher: Publisher, channel: amqp.Channel) -> None:
    for priority in (4, 24, 12, 31, 0):
        await publisher.publish(ticket(to_work("custom"), priority=priority))
    assert [message.priority for message in drain(channel, work_queue("custom"))] == [31, 24, 12, 4, 0]


@pytest.mark.parametrize("bucket", [0, 3])
async def test_a_retry_comes_home_after_its_time_never_early_and_keeps_its_priority(
    publisher: Publisher, channel: amqp.Channel, bucket: int
) -> None:
    wait = BrokerWait(2, bucket)
    started = time.monotonic()
    await publisher.publish(ticket(to_wait("custom", wait), priority=24))
    message = take(channel, work_queue("custom"))
    assert time.monotonic() - started >= wait.duration.total_seconds()
    assert message.priority == 24
    assert message.delivery_info["routing_key"] == f"2s.{bucket}.custom"
    channel.basic_ack(message.delivery_tag)


async def test_a_rejected_ticket_reaches_the_dead_queue(publisher: Publisher, channel: amqp.Channel) -> None:
    await publisher.publish(ticket(to_work("custom")))
    message = take(channel, work_queue("custom"))
    channel.basic_reject(message.delivery_tag, requeue=False)
    dead = take(channel, DEAD)
    assert dead.headers["x-first-death-reason"] == "rejected"
    assert dead.headers["holdfast-kind"] == "test.noop"
    channel.basic_ack(dead.delivery_tag)


async def test_counted_returns_end_at_the_delivery_limit(publisher: Publisher, channel: amqp.Channel) -> None:
    await publisher.publish(ticket(to_work("custom")))
    for _ in range(DELIVERY_LIMIT + 1):
        channel.basic_reject(take(channel, work_queue("custom")).delivery_tag, requeue=True)
    dead = take(channel, DEAD)
    assert dead.headers["x-first-death-reason"] == "delivery_limit"
    channel.basic_ack(dead.delivery_tag)


async def test_a_nacked_ticket_comes_back_as_redelivered_and_costs_no_delivery(
    publisher: Publisher, channel: amqp.Channel
) -> None:
    await publisher.publish(ticket(to_work("custom")))
    for turn in range(DELIVERY_LIMIT + 5):
        message = take(channel, work_queue("custom"))
        assert message.delivery_info["redelivered"] is (turn > 0)
        channel.send_method(amqp.spec.Basic.Nack, "Lbb", (message.delivery_tag, False, True))
    message = take(channel, work_queue("custom"))
    assert message.headers.get("x-delivery-count", 0) == 0
    channel.basic_ack(message.delivery_tag)


def test_a_password_is_changed_from_the_old_one_to_the_one_in_the_url_and_again_is_nothing(broker: Settings) -> None:
    """As for a broker that Terraform had to make with a first password."""
    api = management(broker)
    name = f"test-{secrets.token_hex(4)}"
    api._call("PUT", f"users/{name}", {"password": "the-first", "tags": "administrator"})
    try:
        url = urlsplit(broker.rabbitmq_management_url.get_secret_value())
        owned = Management(f"{url.scheme}://{name}:the-second@{url.hostname}:{url.port}", "/")
        with pytest.raises(BrokerUnavailable, match="401"):
            owned.adopt_password("a-wrong-one")
        assert owned.adopt_password("the-first") is True
        assert owned.version() == api.version()
        assert owned.adopt_password("the-first") is False
        assert api._call("GET", f"users/{name}")["tags"] == ["administrator"]
    finally:
        api._call("DELETE", f"users/{name}")
