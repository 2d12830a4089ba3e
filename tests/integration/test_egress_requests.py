"""What the egress sends, and what it makes of connections that are used again."""

from __future__ import annotations

import asyncio

import pytest

from egress_world import KIB, LOOPBACK, TEN, plain, redirect, saying, serving
from holdfast.adapters.egress import AiohttpEgress
from holdfast.ports.egress import Unreachable


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle connection is kept for longer than a busy machine makes it idle."""
    monkeypatch.setattr("holdfast.adapters.egress.client.KEEPALIVE", 60.0)


async def test_a_redirect_is_followed_and_a_posted_one_is_not(egress: AiohttpEgress) -> None:
    async with serving(plain(b"here")) as target, serving(redirect(f"{target.url}/there?x=%2B")) as first:
        answer = await egress.get(first.url, limit=KIB, timeout=TEN)
        assert (answer.status, answer.body) == (200, b"here")
        assert target.requests[0].startswith("GET /there?x=%2B HTTP/1.1")
        posted = await egress.post(first.url, b"", {}, limit=KIB, timeout=TEN)
        assert posted.status == 302
        assert len(target.requests) == 1


@pytest.mark.usefixtures("kept")
async def test_cookies_are_neither_kept_nor_sent(egress: AiohttpEgress) -> None:
    async with serving(plain(b"", "Set-Cookie: a=b")) as server:
        await egress.get(server.url, limit=KIB, timeout=TEN)
        await egress.get(server.url, limit=KIB, timeout=TEN)
        assert "cookie" not in server.requests[1].lower()
        assert server.connections == 1


async def test_header_names_are_lower_case_and_values_are_text(egress: AiohttpEgress) -> None:
    async with serving(
        saying(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nX-B: \xff\xfe\r\nContent-Length: 0\r\n\r\n")
    ) as server:
        headers = (await egress.get(server.url, limit=KIB, timeout=TEN)).headers
    assert headers["x-a"] == "1, 2"
    headers["x-b"].encode()


@pytest.mark.usefixtures("kept")
async def test_nobody_gets_an_answer_that_came_before_the_question(egress: AiohttpEgress) -> None:
    """A server that says more than it was asked for could put words into the mouth of the next answer."""
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
    async with serving(saying(first)) as server:
        assert (await egress.post(server.url, b"", {}, limit=KIB, timeout=TEN)).body == b"first"
        server.answer = saying(first.replace(b"first", b"other"))
        server.writers[0].write(first.replace(b"first", b"stray"))
        (exchange,) = egress._exchanges.values()
        async with asyncio.timeout(60):
            while not any(kept.should_close for idle in exchange.connector._conns.values() for kept, _ in idle):
                await asyncio.sleep(0)
        assert (await egress.post(server.url, b"", {}, limit=KIB, timeout=TEN)).body == b"other"
        assert server.connections == 2


async def test_an_answer_to_half_a_question_ends_the_connection(egress: AiohttpEgress) -> None:
    async def enough(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.answer = plain(b"enough")
        await server.answer(reader, writer)
        await asyncio.Event().wait()  # and reads no more

    async with serving(enough) as server:
        answer = await egress.post(server.url, b"x" * 30_000 * KIB, {}, limit=KIB, timeout=TEN)
        assert answer.body == b"enough"
        assert (await egress.get(server.url, limit=KIB, timeout=TEN)).body == b"enough"
        assert server.connections == 2


@pytest.mark.parametrize("value", ["a\r\nx-admin: 1", "a\nb", "a\rb", "a\0b"])
async def test_a_header_is_one_line(egress: AiohttpEgress, value: str) -> None:
    async with serving(plain(b"")) as server:
        with pytest.raises(ValueError, match="line break"):
            await egress.post(server.url, b"", {"x-name": value}, limit=KIB, timeout=TEN)
        assert not server.requests


async def test_where_a_request_goes_and_how_long_it_is_are_said_by_us(egress: AiohttpEgress) -> None:
    async with serving(plain(b"")) as server:
        await egress.post(server.url, b"", {"Host": "inner.test", "Content-Length": "9"}, limit=KIB, timeout=TEN)
        assert server.requests[0].lower().count("host: ") == 1
        assert f"host: 127.0.0.1:{server.port}\r\n" in server.requests[0]
        assert "content-length: 0\r\n" in server.requests[0]


async def test_a_get_on_a_connection_that_was_closed_meanwhile_is_made_again(egress: AiohttpEgress) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.answer = plain(b"again")
        writer.close()

    async with serving(plain(b"once")) as server:
        assert (await egress.get(server.url, limit=KIB, timeout=TEN)).body == b"once"
        server.answer = hang_up
        assert (await egress.get(server.url, limit=KIB, timeout=TEN)).body == b"again"
        server.answer = hang_up
        with pytest.raises(Unreachable) as failed:
            await egress.post(server.url, b"", {}, limit=KIB, timeout=TEN)
    assert failed.value.error == "ConnectionReset"


def test_each_event_loop_gets_connections_of_its_own() -> None:
    client = AiohttpEgress(LOOPBACK)

    async def once() -> bytes:
        async with serving(plain(b"ok", "Connection: close")) as server:
            url = server.url.replace("127.0.0.1", "localhost")
            body = (await client.get(url, limit=KIB, timeout=TEN)).body
            await client.close()
            return body

    assert [asyncio.run(once()) for _ in range(2)] == [b"ok", b"ok"]
