"""Taskiq over RabbitMQ by aio-pika: a quorum queue, and confirms, which are its defaults."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from stacks import work
from stacks.web import async_app
from taskiq_aio_pika import AioPikaBroker

broker = AioPikaBroker(os.environ["PEER_BROKER"], qos=int(os.environ["PEER_PREFETCH"]))


@broker.task(task_name="noop")
async def noop() -> None:
    """Do nothing."""
    work.noop()


@broker.task(task_name="webhook")
async def webhook(url: str, body: dict[str, Any]) -> None:
    """Post one webhook."""
    await work.deliver_async(url, body)


async def hand_over(kind: str, payload: dict[str, Any]) -> str:
    """Send the message; its id."""
    return (await {"noop": noop, "webhook": webhook}[kind].kiq(**payload)).task_id


@asynccontextmanager
async def running() -> AsyncIterator[None]:
    """Connected to the broker."""
    await broker.startup()
    try:
        yield
    finally:
        await broker.shutdown()


app = async_app(hand_over, running)
