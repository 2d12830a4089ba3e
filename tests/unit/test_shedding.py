"""What the process cannot keep up with is refused before it is parsed; what only reads gets through."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from holdfast.api.shedding import BATCH_WEIGHT, Load, Shedding
from holdfast.domain.concurrency import BURST, FIRST, LATE

Sent = list[Message]


class Application:
    """Answers 202 to a body once it is let."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.let = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.bodies.append(body)
        await self.let.wait()
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def shedding(application: Application) -> Shedding:
    return Shedding(application, Load())


async def at_once(*messages: Message) -> Message:
    raise AssertionError


def body(*parts: bytes) -> Receive:
    """A body that is there."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False
    waiting = iter(messages)

    async def receive() -> Message:
        return next(waiting)

    return receive


async def ask(
    shedding: Shedding, receive: Receive | None = None, *, path: str = "/v1/jobs", method: str = "POST", size: int = 2
) -> Sent:
    """Send one request; what came back."""
    sent: Sent = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-length", str(size).encode())]
    scope: dict[str, Any] = {"type": "http", "method": method, "path": path, "headers": headers}
    await shedding(scope, receive or body(b"{}"), send)
    return sent


def status(sent: Sent) -> int:
    return int(sent[0]["status"])


async def filled(shedding: Shedding, count: int, **options: Any) -> list[asyncio.Task[Sent]]:
    """So many requests under way."""
    tasks = [asyncio.create_task(ask(shedding, **options)) for _ in range(count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


def overload(shedding: Shedding) -> None:
    """As if the process had worked all the time and callbacks been late, but not so late that the limit shrinks."""
    limit = shedding._load.limit
    limit._lateness, limit._share, limit._looked = LATE, 1.0, math.inf


async def test_past_the_limit_a_submit_is_refused_unread_with_a_time_to_come_back(
    shedding: Shedding, application: Application
) -> None:
    tasks = await filled(shedding, int(FIRST))
    overload(shedding)
    refused = await ask(shedding, at_once)
    assert status(refused) == 503
    headers = dict(refused[0]["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    document = orjson.loads(refused[1]["body"])
    assert document["type"] == "urn:holdfast:problem:overloaded"
    assert headers[b"retry-after"] == b"1" == str(document["retry_after"]).encode()
    application.let.set()
    assert {status(await task) for task in tasks} == {202}
    assert status(await ask(shedding)) == 202, "there is room again"


@pytest.mark.parametrize(
    "line", ["GET /v1/jobs", "GET /healthz", "GET /metrics", "POST /v1/jobs/x/cancel", "POST /v1/uploads"]
)
async def test_what_is_no_submit_gets_through(shedding: Shedding, application: Application, line: str) -> None:
    tasks = await filled(shedding, int(FIRST))
    overload(shedding)
    application.let.set()
    method, path = line.split()
    assert status(await ask(shedding, method=method, path=path)) == 202
    await asyncio.gather(*tasks)


async def test_a_burst_is_let_in_when_the_process_has_had_time_to_spare(
    shedding: Shedding, application: Application
) -> None:
    tasks = await filled(shedding, int(BURST))
    assert status(await ask(shedding)) == 503
    application.let.set()
    assert [status(await task) for task in tasks] == [202] * int(BURST)


async def test_a_body_on_its_way_counts_for_nothing_and_is_asked_again_when_it_has_come(
    shedding: Shedding, application: Application
) -> None:
    arriving = asyncio.Event()

    async def slowly() -> Message:
        await arriving.wait()
        return {"type": "http.request", "body": b"{}", "more_body": False}

    slow = [asyncio.create_task(ask(shedding, slowly)) for _ in range(200)]
    await asyncio.sleep(0)
    tasks = await filled(shedding, int(FIRST))
    assert len(application.bodies) == FIRST, "nobody was kept out by those who are slow"
    overload(shedding)
    arriving.set()
    assert {status(sent) for sent in await asyncio.gather(*slow)} == {503}
    application.let.set()
    await asyncio.gather(*tasks)


async def test_a_body_in_parts_reaches_the_application_whole(shedding: Shedding, application: Application) -> None:
    application.let.set()
    await ask(shedding, body(b"one ", b"two ", b"three"))
    assert application.bodies == [b"one two three"]


async def test_a_batch_counts_by_its_size_and_a_large_one_gets_in_when_it_is_alone(
    shedding: Shedding, application: Application
) -> None:
    large = {"path": "/v1/jobs/batch", "size": 1_000_000}
    first = await filled(shedding, 1, **large)
    assert shedding._load.limit.under_way == BATCH_WEIGHT
    await filled(shedding, int(FIRST) - BATCH_WEIGHT)
    overload(shedding)
    assert status(await ask(shedding, **large)) == 503
    application.let.set()
    assert status(await first[0]) == 202


async def test_an_application_that_fails_gives_its_place_back(shedding: Shedding) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("a defect")

    shedding._app = fail
    for _ in range(int(BURST) * 2):
        with pytest.raises(RuntimeError, match="a defect"):
            await ask(shedding)
    assert shedding._load.limit.under_way == 0
