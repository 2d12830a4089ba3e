"""Dramatiq over RabbitMQ."""

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from stacks import work
from stacks.web import sync_app

broker = RabbitmqBroker(url=os.environ["PEER_BROKER"])
dramatiq.set_broker(broker)


@dramatiq.actor
def noop() -> None:
    """Do nothing."""
    work.noop()


@dramatiq.actor
def webhook(url: str, body: dict[str, Any]) -> None:
    """Post one webhook."""
    work.deliver(url, body)


def hand_over(kind: str, payload: dict[str, Any]) -> str:
    """Send the message; its id."""
    return str({"noop": noop, "webhook": webhook}[kind].send(**payload).message_id)


app = sync_app(hand_over)
