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

LIMIT = timedelta(seconds=0.3)


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

    before, began = psutil.Process().memory_info().rss, time.monotonic()
    async with serving(play) as server, serving(plain(b"fine")) as next_one:
        for fetch in (get, post):
            outcome = await fetch(egress, server.url)
            if fetch is get:
                assert outcome in answer.outcomes
        assert time.monotonic() - began < 5
        assert psutil.Process().memory_info().rss - before < 64 * MIB
        assert await get(egress, next_one.url) == "harmless"


async def get(egress: AiohttpEgress, url: str) -> str:
    try:
        answer = await egress.get(url, limit=CAP, timeout=LIMIT)
    except HandlerError as error:
        return error.error
    assert len(answer.body) <= CAP
    return "harmless"


async def post(egress: AiohttpEgress, url: str) -> str:
    try:
        answer = await egress.post(url, b"{}", {}, limit=1024, timeout=LIMIT)
    except HandlerError as error:
        return error.error
    assert len(answer.body) <= 1024
    return "harmless"
