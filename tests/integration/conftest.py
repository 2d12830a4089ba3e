"""What the adapters' own tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import amqp
import pytest

from egress_world import LOOPBACK
from holdfast.adapters.egress import AiohttpEgress
from holdfast.adapters.rabbitmq.connection import connect
from holdfast.adapters.rabbitmq.publisher import Publisher
from holdfast.bootstrap import topology_keeper
from holdfast.settings import Settings


@pytest.fixture(scope="module")
def broker(module_settings: Settings) -> Settings:
    """A virtual host with its queues and policies, where no worker consumes."""
    topology_keeper(module_settings).apply()
    return module_settings


@pytest.fixture
def channel(broker: Settings) -> Iterator[amqp.Channel]:
    connection = connect(broker.rabbitmq_url.get_secret_value(), name="test")
    yield connection.channel()
    connection.close()


@pytest.fixture
async def publisher(broker: Settings) -> AsyncIterator[Publisher]:
    made = Publisher(broker.rabbitmq_url.get_secret_value(), timeout=60.0)
    yield made
    made.close()


@pytest.fixture
async def egress() -> AsyncIterator[AiohttpEgress]:
    client = AiohttpEgress(LOOPBACK)
    yield client
    await client.close()
