"""What the egress takes of a hostile server: so many bytes, for so long, over so many connections."""

from __future__ import annotations

import asyncio
import gzip
import time
import zlib
from datetime import timedelta

import pytest

from egress_world import KIB, LOOPBACK, TEN, Answer, plain, saying, serving
from holdfast.adapters.egress import AiohttpEgress
from holdfast.domain.errors import Rejected
from holdfast.ports.egress import TooLarge, Unreachable


async def test_a_body_at_the_cap_passes_and_one_byte_more_does_not(egress: AiohttpEgress) -> None:
    async with serving(plain(b"x" * KIB)) as server:
        assert len((await egress.get(server.url, limit=KIB, timeout=TEN)).body) == KIB
        with pytest.raises(TooLarge, match="announces 1024 bytes"):
            await egress.get(server.url, limit=KIB - 1, timeout=TEN)


async def test_a_body_without_a_length_is_stopped_at_the_cap(egress: AiohttpEgress) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    written = 0

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(chunk)
            written += len(chunk)
            await writer.drain()

    async with serving(endless) as server:
        with pytest.raises(TooLarge):
            await egress.get(server.url, limit=100 * KIB, timeout=TEN)
        answer = await egress.post(server.url, b"", {}, limit=100 * KIB, timeout=TEN)
        assert (len(answer.body), answer.truncated) == (100 * KIB, True)
    assert written < 64 * KIB * KIB


async def test_a_post_keeps_the_start_of_a_long_answer(egress: AiohttpEgress) -> None:
    async with serving(plain(b"abcdef")) as server:
        answer = await egress.post(server.url, b"{}", {"content-type": "application/json"}, limit=3, timeout=TEN)
    assert (answer.status, answer.body, answer.truncated) == (200, b"abc", True)


async def test_a_dripping_body_ends_at_the_timeout(egress: AiohttpEgress) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    await times_out(egress, drip, "ReadTimeout")


async def test_dripping_headers_end_at_the_timeout(egress: AiohttpEgress) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    await times_out(egress, drip, "ReadTimeout")


async def test_endless_interim_answers_end_at_the_timeout(egress: AiohttpEgress) -> None:
    async def interim(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    await times_out(egress, interim, "ReadTimeout")


async def test_redirects_share_one_timeout(egress: AiohttpEgress) -> None:
    async def slow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.6)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")

    # The second may have little time left, and none to connect.
    assert await times_out(egress, slow, "ReadTimeout", "ConnectTimeout", "HostBusy") <= 2


@pytest.mark.parametrize(
    "headers",
    [b"X: " + b"x" * 70_000 + b"\r\n", b"".join(b"X-%d: x\r\n" % n for n in range(5000))],
    ids=["one endless header", "endlessly many headers"],
)
async def test_endless_headers_are_a_broken_response(egress: AiohttpEgress, headers: bytes) -> None:
    async with serving(saying(b"HTTP/1.1 200 OK\r\n", headers, b"Content-Length: 0\r\n\r\n")) as server:
        with pytest.raises(Unreachable) as failed:
            await egress.get(server.url, limit=KIB, timeout=TEN)
    assert failed.value.error == "BrokenResponse"


async def test_a_gzip_bomb_stops_at_the_cap(egress: AiohttpEgress) -> None:
    squeeze = zlib.compressobj(9, wbits=31)
    bomb = b"".join(squeeze.compress(bytes(KIB * KIB)) for _ in range(200)) + squeeze.flush()
    assert len(bomb) < 250 * KIB
    async with serving(plain(bomb, "Content-Encoding: gzip")) as server:
        with pytest.raises(TooLarge):
            await egress.get(server.url, limit=500 * KIB, timeout=TEN)


async def test_an_answer_compressed_unasked_is_decoded(egress: AiohttpEgress) -> None:
    body = gzip.compress(b"stored ") + gzip.compress(b"compressed")
    async with serving(plain(body, "Content-Encoding: gzip")) as server:
        assert (await egress.get(server.url, limit=KIB, timeout=TEN)).body == b"stored compressed"
        assert "accept-encoding: identity" in server.requests[0].lower()


@pytest.mark.parametrize("body", [gzip.compress(b"cut short")[:-4], b"not gzip at all"], ids=["cut short", "no gzip"])
async def test_a_broken_gzip_is_a_broken_response(egress: AiohttpEgress, body: bytes) -> None:
    async with serving(plain(body, "Content-Encoding: gzip")) as server:
        with pytest.raises(Unreachable) as failed:
            await egress.get(server.url, limit=KIB, timeout=TEN)
    assert failed.value.error == "BrokenResponse"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "deflate, br"])
async def test_an_encoding_that_cannot_be_bounded_is_refused(egress: AiohttpEgress, encoding: str) -> None:
    async with serving(plain(b"?", f"Content-Encoding: {encoding}")) as server:
        with pytest.raises(Rejected) as refused:
            await egress.get(server.url, limit=KIB, timeout=TEN)
    assert refused.value.error == "UnsupportedEncoding"


async def test_one_host_gets_only_its_share_of_connections() -> None:
    arrived, release = asyncio.Semaphore(0), asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        arrived.release()
        await release.wait()

    client = AiohttpEgress(LOOPBACK, limit_per_host=2)
    async with serving(hang) as sick, serving(plain(b"fine")) as well:
        stuck = [asyncio.create_task(client.get(sick.url, limit=KIB, timeout=TEN)) for _ in range(2)]
        async with asyncio.timeout(5):
            await arrived.acquire()
            await arrived.acquire()
        with pytest.raises(Unreachable, match="all connections to it were in use") as failed:
            await client.get(sick.url, limit=KIB, timeout=timedelta(seconds=0.2))
        assert failed.value.error == "HostBusy"
        assert (await client.get(well.url, limit=KIB, timeout=TEN)).body == b"fine"
        assert sick.connections == 2
        release.set()
    await asyncio.gather(*stuck, return_exceptions=True)
    await client.close()


async def times_out(egress: AiohttpEgress, answer: Answer, *names: str) -> int:
    """After how many requests."""
    async with serving(answer) as server:
        began = time.monotonic()
        with pytest.raises(Unreachable) as failed:
            await egress.get(server.url, limit=1000 * KIB, timeout=timedelta(seconds=1))
        took = time.monotonic() - began
    assert failed.value.error in names
    assert took < 60, f"a timeout of 1 s took {took:.1f} s"
    return len(server.requests)
