"""The egress adapter against real sockets on loopback: hostile servers, hostile names, hostile redirects."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import socket
import ssl
import subprocess
import time
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp.abc import ResolveResult

from egress_world import Answer, Names, plain, redirect, saying, serving
from holdfast.adapters.egress import AiohttpEgress
from holdfast.domain.errors import Rejected
from holdfast.ports.egress import Forbidden, TooLarge, Unreachable

LOOPBACK = ("127.0.0.1/32",)
TEN = timedelta(seconds=10)
KIB = 1024


@pytest.fixture
async def egress() -> AsyncIterator[AiohttpEgress]:
    client = AiohttpEgress(LOOPBACK)
    yield client
    await client.close()


@pytest.fixture
async def guarded() -> AsyncIterator[AiohttpEgress]:
    client = AiohttpEgress()
    yield client
    await client.close()


# What is refused


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.255.255.254",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "some.localhost",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1%25lo]",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "①②⑦.0.0.1",
        "127。0。0。1",
        "169.254.169.254",
        "[fd00:ec2::254]",
    ],
)
async def test_no_spelling_of_an_inner_address_is_dialled(guarded: AiohttpEgress, host: str) -> None:
    async with serving(plain(b"inside")) as server:
        with pytest.raises(Forbidden):
            await guarded.get(f"http://{host}:{server.port}/", limit=KIB, timeout=TEN)
        with pytest.raises(Forbidden):
            await guarded.post(f"http://{host}:{server.port}/", b"{}", {}, limit=KIB, timeout=TEN)
    assert server.connections == 0


async def test_the_message_names_host_address_reason_and_cure(guarded: AiohttpEgress) -> None:
    with pytest.raises(Forbidden) as refused:
        await guarded.get("http://127.0.0.1:8000/hidden?token=hidden", limit=KIB, timeout=TEN)
    assert str(refused.value) == (
        "127.0.0.1 is a loopback address; add its network to HOLDFAST_EGRESS_ALLOW to permit it"
    )

    client = AiohttpEgress(resolver=Names(inner_test=[["10.0.0.7"]]))
    with pytest.raises(Forbidden, match=r"inner\.test resolves to 10\.0\.0\.7, which is a private address"):
        await client.get("http://inner.test/", limit=KIB, timeout=TEN)
    await client.close()


async def test_a_redirect_to_loopback_is_refused_at_the_dial() -> None:
    client = AiohttpEgress(LOOPBACK)
    async with serving(plain(b"inside")) as inner, serving(redirect(f"http://127.0.0.2:{inner.port}/")) as outer:
        with pytest.raises(Forbidden, match=r"127\.0\.0\.2 is a loopback address"):
            await client.get(outer.url, limit=KIB, timeout=TEN)
        assert inner.connections == 0
    await client.close()


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://a:b@127.0.0.1/", "http://0x7f.1/"]
)
async def test_a_redirect_is_parsed_as_strictly_as_a_first_url(egress: AiohttpEgress, location: str) -> None:
    async with serving(redirect(location)) as server:
        with pytest.raises(Forbidden):
            await egress.get(server.url, limit=KIB, timeout=TEN)


async def test_a_name_that_turns_to_loopback_after_it_was_checked_is_not_dialled() -> None:
    """DNS rebinding: the first answer is public (and reachable here), the second is loopback."""
    async with serving(plain(b"outside", "Connection: close")) as server:
        names = Names(turncoat_test=[["127.0.0.1"], ["127.0.0.2"]])
        client = AiohttpEgress(LOOPBACK, resolver=names)
        url = f"http://turncoat.test:{server.port}/"
        assert (await client.get(url, limit=KIB, timeout=TEN)).body == b"outside"
        exchange = next(iter(client._exchanges.values()))
        exchange.connector.clear_dns_cache()
        with pytest.raises(Forbidden, match=r"127\.0\.0\.2"):
            await client.get(url, limit=KIB, timeout=TEN)
        await client.close()
    assert names.asked == ["turncoat.test", "turncoat.test"]
    assert server.connections == 1


async def test_of_a_mixed_answer_only_permitted_addresses_are_dialled() -> None:
    async with serving(plain(b"permitted")) as server:
        client = AiohttpEgress(LOOPBACK, resolver=Names(mixed_test=[["10.0.0.1", "127.0.0.2", "127.0.0.1", "::1"]]))
        answer = await client.get(f"http://mixed.test:{server.port}/", limit=KIB, timeout=TEN)
        assert answer.body == b"permitted"
        await client.close()


async def test_a_mixed_answer_whose_permitted_address_is_down_is_unreachable_not_forbidden() -> None:
    client = AiohttpEgress(LOOPBACK, resolver=Names(mixed_test=[["10.0.0.1", "127.0.0.1"]]))
    with pytest.raises(Unreachable) as failed:
        await client.get(f"http://mixed.test:{free_port()}/", limit=KIB, timeout=TEN)
    assert failed.value.error == "ConnectionRefused"
    await client.close()


async def test_proxies_of_the_environment_are_not_used(egress: AiohttpEgress, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(plain(b"proxy")) as proxy, serving(plain(b"origin")) as origin:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert (await egress.get(origin.url, limit=KIB, timeout=TEN)).body == b"origin"
        assert proxy.connections == 0


# What is bounded


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
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")

    await times_out(egress, slow, "ReadTimeout")


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


# What failures are called


async def test_each_failure_has_its_stable_name(egress: AiohttpEgress) -> None:
    assert await failure(egress, f"http://127.0.0.1:{free_port()}/") == "ConnectionRefused"
    assert await failure(egress, "http://" + "a" * 64 + ".test/") == "NameNotResolved"
    async with serving(saying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as server:
        assert await failure(egress, server.url) == "BrokenResponse"
    async with serving(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort")) as server:
        server.answer = closing(server.answer)
        assert await failure(egress, server.url) == "BrokenResponse"
    async with serving(closing(saying(b""))) as server:
        assert await failure(egress, server.url) == "ConnectionReset"
    async with serving(redirect("/again")) as server:
        assert await failure(egress, server.url) == "TooManyRedirects"
        assert len(server.requests) == 6


async def test_a_name_without_addresses_is_named() -> None:
    client = AiohttpEgress(resolver=Names())
    with pytest.raises(Unreachable, match=r"the name nowhere\.test could not be resolved") as failed:
        await client.get("http://nowhere.test/", limit=KIB, timeout=TEN)
    assert failed.value.error == "NameNotResolved"
    await client.close()


async def test_a_name_server_that_hangs_is_a_name_timeout() -> None:
    class Hanging(Names):
        async def resolve(self, *_: object, **__: object) -> list[ResolveResult]:
            await asyncio.Event().wait()
            return []

    client = AiohttpEgress(resolver=Hanging())
    with pytest.raises(Unreachable) as failed:
        await client.get("http://slow.test/", limit=KIB, timeout=timedelta(seconds=0.2))
    assert failed.value.error == "NameTimeout"
    await client.close()


async def test_a_host_that_swallows_packets_is_a_connect_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        client = AiohttpEgress(LOOPBACK)
        with pytest.raises(Unreachable) as failed:
            await client.get(f"http://127.0.0.1:{port}/", limit=KIB, timeout=timedelta(seconds=0.5))
        await client.close()
        for filler in fillers:
            filler.close()
    assert failed.value.error == "ConnectTimeout"


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for `good.test`, signed by itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed; it makes the certificate of the test")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=good.test", "-addext", "subjectAltName=DNS:good.test", "-out", certificate, "-keyout", key],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


@pytest.fixture
def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
async def trusting(certificate: tuple[Path, Path]) -> AsyncIterator[AiohttpEgress]:
    """Trusts the test's certificate; `good.test` and `other.test` are loopback."""
    names = Names(good_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
    client = AiohttpEgress(LOOPBACK, resolver=names, tls=ssl.create_default_context(cafile=str(certificate[0])))
    yield client
    await client.close()


async def test_a_certificate_must_be_trusted_and_name_the_host(
    egress: AiohttpEgress, trusting: AiohttpEgress, server_tls: ssl.SSLContext
) -> None:
    async with serving(plain(b"safe"), server_tls) as server:
        answer = await trusting.get(f"https://good.test:{server.port}/", limit=KIB, timeout=TEN)
        assert answer.body == b"safe"
        assert await failure(trusting, f"https://other.test:{server.port}/") == "TlsFailed"
        assert await failure(egress, f"https://127.0.0.1:{server.port}/") == "TlsFailed"


async def test_what_is_not_tls_is_a_tls_failure(egress: AiohttpEgress) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 this is not TLS\r\n")
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    assert await failure(egress, f"https://127.0.0.1:{port}/") == "TlsFailed"
    listener.close()


async def test_a_redirect_never_leaves_tls(trusting: AiohttpEgress, server_tls: ssl.SSLContext) -> None:
    async with serving(plain(b"open")) as clear, serving(redirect(clear.url), server_tls) as safe:
        with pytest.raises(Forbidden) as refused:
            await trusting.get(f"https://good.test:{safe.port}/", limit=KIB, timeout=TEN)
    assert refused.value.error == "RedirectDowngrade"
    assert clear.connections == 0


# What a request looks like


async def test_a_redirect_is_followed_and_a_posted_one_is_not(egress: AiohttpEgress) -> None:
    async with serving(plain(b"here")) as target, serving(redirect(f"{target.url}/there?x=%2B")) as first:
        answer = await egress.get(first.url, limit=KIB, timeout=TEN)
        assert (answer.status, answer.body) == (200, b"here")
        assert target.requests[0].startswith("GET /there?x=%2B HTTP/1.1")
        posted = await egress.post(first.url, b"", {}, limit=KIB, timeout=TEN)
        assert posted.status == 302
        assert len(target.requests) == 1


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


async def test_nobody_gets_an_answer_that_came_before_the_question(egress: AiohttpEgress) -> None:
    """A server that says more than it was asked for could put words into the mouth of the next answer."""
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
    async with serving(saying(first)) as server:
        assert (await egress.post(server.url, b"", {}, limit=KIB, timeout=TEN)).body == b"first"
        server.answer = saying(first.replace(b"first", b"other"))
        server.writers[0].write(first.replace(b"first", b"stray"))
        (exchange,) = egress._exchanges.values()
        async with asyncio.timeout(5):
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


def closing(answer: Answer) -> Answer:
    async def then_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        await writer.drain()
        writer.close()

    return then_close


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def failure(egress: AiohttpEgress, url: str) -> str:
    with pytest.raises(Unreachable) as failed:
        await egress.get(url, limit=KIB, timeout=timedelta(seconds=3))
    return failed.value.error


async def times_out(egress: AiohttpEgress, answer: Answer, name: str) -> None:
    async with serving(answer) as server:
        began = time.monotonic()
        with pytest.raises(Unreachable) as failed:
            await egress.get(server.url, limit=1000 * KIB, timeout=timedelta(seconds=0.5))
        took = time.monotonic() - began
    assert failed.value.error == name
    assert took < 2, f"a timeout of 0.5 s took {took:.1f} s"
