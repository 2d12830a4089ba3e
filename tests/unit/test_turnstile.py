"""A submit that is turned away in the protocol is answered as the layers would have answered it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from holdfast.api.browsers import Guards, SecurityHeaders
from holdfast.api.observe import Observe
from holdfast.api.protocol import BoundedProtocol
from holdfast.api.request_id import RequestId
from holdfast.api.shedding import Load, Shedding
from holdfast.api.turnstile import TURNSTILE, Turnstile
from holdfast.domain.concurrency import BURST
from holdfast.domain.errors import RefusedFor
from holdfast.telemetry import metrics
from holdfast.telemetry.families import OTHER
from holdfast.telemetry.label_values import StatusClass

HEAD = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
BODY = b'{"kind": "test.noop", "payload": {}}'
DATE = (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")


def submit(*fields: bytes, path: bytes = b"/v1/jobs", body: bytes = BODY) -> bytes:
    """A whole request."""
    return HEAD % path + b"".join(it + b"\r\n" for it in fields) + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Written(asyncio.Transport):
    """Keeps what the server says."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in {"sockname", "peername"} else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said += bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@dataclass
class Server:
    """One connection of an api that has no room; `reached` are the requests that came to its layers."""

    reached: list[Scope] = field(default_factory=list)
    load: Load = field(default_factory=Load)
    written: Written = field(default_factory=Written)

    def __post_init__(self) -> None:
        self.load.limit.under_way = int(BURST)
        layers = Observe(RequestId(SecurityHeaders(Shedding(self._inner, self.load), tls=True)))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            self.reached.append(scope)
            await layers(scope, receive, send)

        self._config = Config(app, log_config=None, access_log=False, interface="asgi3")
        self.connect(turnstile=True)

    def connect(self, *, turnstile: bool) -> None:
        state = ServerState()
        state.default_headers = [DATE]
        guards = Guards(tls=True).around
        self.written.said = b""
        self.protocol = BoundedProtocol(
            self._config, state, {TURNSTILE: Turnstile(self.load, guards)} if turnstile else {}
        )
        self.protocol.connection_made(self.written)

    async def _inner(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body", False):
            pass
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def say(self, *parts: bytes) -> list[httpx.Response]:
        """Send; all that was answered."""
        for part in parts:
            self.protocol.data_received(part)
            for _ in range(5):
                await asyncio.sleep(0)
        answers, said = [], self.written.said
        while said:
            head, _, said = said.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            headers = [tuple(line.split(": ", 1)) for line in lines]
            size = int(dict(headers)["content-length"])
            body, said = said[:size], said[size:]
            answers.append(httpx.Response(int(first.split()[1]), headers=headers, content=body))  # type: ignore[arg-type]
        self.written.said = b""
        return answers


@pytest.fixture
async def server() -> Iterator[Server]:  # type: ignore[misc]
    made = Server()
    yield made
    made.protocol.connection_lost(None)


def counted() -> tuple[float, float]:
    """Requests that were answered by 5xx, and jobs that were refused for an overload."""
    refused = metrics.REFUSED.of(OTHER, RefusedFor.OVERLOAD)
    return metrics.HTTP_REQUESTS.of(OTHER, "POST", StatusClass.SERVER_ERROR)._value.get(), refused._value.get()


@pytest.mark.parametrize("path", [b"/v1/jobs", b"/v1/jobs/batch"])
async def test_it_says_what_the_layers_say_without_reaching_them(server: Server, path: bytes) -> None:
    named = submit(b"X-Request-Id: the-callers-own", path=path)
    [early] = await server.say(named)
    assert server.reached == []
    server.connect(turnstile=False)
    [late] = await server.say(named)
    assert len(server.reached) == 1
    assert early.status_code == late.status_code == 503
    assert sorted(early.headers.multi_items()) == sorted(late.headers.multi_items())
    assert early.headers["x-request-id"] == "the-callers-own"
    assert early.headers["date"] == DATE[1].decode()
    assert early.content == late.content
    assert early.json()["type"] == "urn:holdfast:problem:overloaded"


async def test_each_has_a_name_of_its_own(server: Server) -> None:
    first, second = await server.say(submit(), submit(b"X-Request-Id: <b>"))
    assert first.headers["x-request-id"] != second.headers["x-request-id"] != "<b>"


async def test_the_connection_goes_on_behind_a_body_in_parts_and_behind_a_pipelined_request(server: Server) -> None:
    whole = submit()
    answers = await server.say(whole[:-10], whole[-10:-3], whole[-3:] + whole + submit(path=b"/v1/uploads"))
    assert [it.status_code for it in answers] == [503, 503, 202]
    server.load.limit.under_way = 0
    assert [it.status_code for it in await server.say(whole)] == [202]


async def test_a_chunked_body_is_read_past(server: Server) -> None:
    chunked = HEAD % b"/v1/jobs" + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    assert [it.status_code for it in await server.say(chunked, submit())] == [503, 503]
    assert server.reached == []


@pytest.mark.parametrize(
    "request_",
    [
        submit(b"Origin: https://elsewhere.example"),
        submit(b"Sec-Fetch-Site: cross-site"),
        submit(b"Expect: 100-continue"),
        submit(b"Connection: close"),
        submit(path=b"/v1/jobs?x=1"),
        submit().replace(b"HTTP/1.1", b"HTTP/1.0"),
        submit(path=b"/v1/uploads"),
        b"GET /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["a page", "a foreign page", "expect", "close", "a query", "HTTP/1.0", "another route", "a read"],
)
async def test_what_is_not_plain_goes_to_the_layers(server: Server, request_: bytes) -> None:
    await server.say(request_)
    assert len(server.reached) == 1


async def test_an_answer_that_is_due_comes_first(server: Server) -> None:
    slow = HEAD % b"/v1/uploads" + b"Content-Length: 3\r\n\r\n"
    assert [it.status_code for it in await server.say(slow, b"abc" + submit())] == [202, 503]


async def test_one_turn_of_the_loop_lets_in_no_more_than_there_is_room_for(server: Server) -> None:
    server.load.limit.under_way = int(BURST) - 1
    assert [server.load.expects(1) for _ in range(3)] == [True, False, False]
    await asyncio.sleep(0)
    assert server.load.expects(1), "what did not begin keeps nobody out"


async def test_what_is_turned_away_is_counted(server: Server) -> None:
    before = counted()
    await server.say(submit(), submit())
    assert tuple(now - then for now, then in zip(counted(), before, strict=True)) == (2.0, 2.0)
