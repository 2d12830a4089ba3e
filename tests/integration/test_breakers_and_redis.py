"""What the breakers cost Redis, measured by Redis itself; and what they do while it is away, and when it is back."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from breaker_worlds import beating
from holdfast.adapters.memory.breakers import MemoryBreakers
from holdfast.adapters.redis.breakers import RedisBreakers
from holdfast.adapters.redis.link import RedisLink
from holdfast.domain.circuit import CircuitState
from holdfast.domain.downstream_policy import Policies
from holdfast.domain.errors import RedisUnavailable
from holdfast.engine.downstreams import PooledDownstreams
from holdfast.ports.downstreams import NotNow
from holdfast.ports.egress import Unreachable

POLICIES = Policies({"*": {"least_calls": 4, "open": 30, "open_most": 30, "witnesses": 1}})


class Wire:
    """A way to Redis that can be cut."""

    def __init__(self, url: str) -> None:
        self.target = urlsplit(url)
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        credentials, _, _ = self.target.netloc.rpartition("@")
        return self.target._replace(netloc=f"{credentials}@127.0.0.1:{self.port}").geturl()

    async def join(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self.target.hostname, self.target.port)
        self._open |= {writer, back}
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@pytest.fixture
async def wire(services: dict[str, str]) -> AsyncIterator[Wire]:
    found = Wire(services["HOLDFAST_REDIS_URL"])
    await found.join()
    yield found
    await found.cut()


@pytest.fixture
async def link(wire: Wire) -> AsyncIterator[RedisLink]:
    found = RedisLink(wire.url, timeout=1.0)
    yield found
    await found.close()


def process(link: RedisLink, prefix: str, instance: str = "a:1") -> PooledDownstreams:
    shared = RedisBreakers(link, POLICIES, prefix=prefix)
    return PooledDownstreams(
        shared, MemoryBreakers(POLICIES), POLICIES, beating(instance), most=50, draw=lambda: 0.0
    )  # fmt: skip


async def answering(downstreams: PooledDownstreams, name: str = "webhook:well.example") -> None:
    async with downstreams.call(name) as call:
        call.answered(204)


async def failing(downstreams: PooledDownstreams, times: int, name: str = "webhook:sick.example") -> None:
    for _ in range(times):
        with contextlib.suppress(Unreachable, NotNow):
            async with downstreams.call(name):
                raise Unreachable("nobody is there", error="ConnectionRefused")
        await downstreams.tell()


async def scripts_run(link: RedisLink) -> int:
    """By Redis's own count."""
    stats = await link.redis.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


async def test_a_thousand_healthy_jobs_cost_less_than_a_round_trip_each(link: RedisLink) -> None:
    """Of one process, to ten hosts; the first heartbeat and the last included."""
    downstreams = process(link, f"test-{secrets.token_hex(4)}:")
    before = await scripts_run(link)
    async with downstreams.reporting(int):
        for number in range(1_000):
            await answering(downstreams, f"webhook:{number % 10}.example")
    spent = await scripts_run(link) - before
    print(f"{spent} scripts for 1,000 jobs")
    assert spent < 200


async def test_jobs_to_a_thousand_hosts_cost_one_question_each(link: RedisLink) -> None:
    downstreams = process(link, f"test-{secrets.token_hex(4)}:")
    before = await scripts_run(link)
    for number in range(1_000):
        await answering(downstreams, f"webhook:{number}.example")
    asked = await scripts_run(link) - before
    assert 1_000 <= asked <= 1_050, "one question each, beside the heartbeats of who else is at this Redis"


async def test_without_redis_jobs_go_on_and_each_process_learns_by_itself(wire: Wire, link: RedisLink) -> None:
    downstreams = process(link, f"test-{secrets.token_hex(4)}:")
    await answering(downstreams)
    await wire.cut()
    await failing(downstreams, 4)
    with pytest.raises(NotNow):
        await answering(downstreams, "webhook:sick.example")
    await answering(downstreams)


async def test_when_redis_is_back_all_agree_again(wire: Wire, link: RedisLink) -> None:
    prefix = f"test-{secrets.token_hex(4)}:"
    one, other = process(link, prefix), process(link, prefix, "b:1")
    await wire.cut()
    await failing(one, 4)
    await wire.join()
    shared = RedisBreakers(link, POLICIES, prefix=prefix)

    async def opened() -> bool:
        await failing(one, 1)
        with contextlib.suppress(RedisUnavailable):
            return (await shared.look("webhook:sick.example")).state is CircuitState.OPEN
        return False

    async with asyncio.timeout(20):
        while not await opened():
            await asyncio.sleep(0.05)
    with pytest.raises(NotNow):
        await answering(other, "webhook:sick.example")


async def test_a_redis_that_lost_its_data_is_told_anew(link: RedisLink) -> None:
    prefix = f"test-{secrets.token_hex(4)}:"
    downstreams, shared = process(link, prefix), RedisBreakers(link, POLICIES, prefix=prefix)
    await failing(downstreams, 4)
    assert (await shared.look("webhook:sick.example")).state is CircuitState.OPEN
    for key in await link.redis.keys(f"{prefix}*"):
        await link.redis.delete(key)
    assert (await shared.look("webhook:sick.example")).state is CircuitState.CLOSED
    await failing(downstreams, 4)
    assert (await shared.look("webhook:sick.example")).state is CircuitState.OPEN
