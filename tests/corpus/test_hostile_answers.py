"""Every hostile answer ends in its outcome, in time, without growing this process; the next request is served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import psutil
import pytest

from corpus.answers import ANSWERS, CAP, Answer
from corpus.image_bombs import MIB
from egress_world import plain, serving
from holdfast.adapters.egress import AiohttpEgress
from holdfast.domain.errors import HandlerError

SHORT, LONG = timedelta(seconds=0.3), timedelta(seconds=10)
"""For answers that are to run into the timeout, and for all others."""


@pytest.fixture
async def egress() -> AsyncIterator[AiohttpEgress]:
    client = AiohttpEgress(["127.0.0.1/32"])
    yield client
    await client.close()


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer.id)
async def test_a_hostile_answer_has_its_outcome(egress: AiohttpEgress, answer: Answer) -> None:
    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        await answer.script(write)
        if answer.then == "close":
            writer.close()

    limit = SHORT if "ReadTimeout" in answer.outcomes else LONG
    before, began = psutil.Process().memory_info().rss, time.monotonic()
    async with serving(play) as server, serving(plain(b"fine")) as next_one:
        assert await get(egress, server.url, limit) in answer.outcomes
        await post(egress, server.url, SHORT)
        assert time.monotonic() - began < limit.total_seconds() + 5
        assert psutil.Process().memory_info().rss - before < 64 * MIB
        assert await get(egress, next_one.url, LONG) == "harmless"


async def get(egress: AiohttpEgress, url: str, limit: timedelta) -> str:
    try:
        answer = await egress.get(url, limit=CAP, timeout=limit)
    except HandlerError as error:
        return error.error
    assert len(answer.body) <= CAP
    return "harmless"


async def post(egress: AiohttpEgress, url: str, limit: timedelta) -> str:
    try:
        answer = await egress.post(url, b"{}", {}, limit=1024, timeout=limit)
    except HandlerError as error:
        return error.error
    assert len(answer.body) <= 1024
    return "harmless"
