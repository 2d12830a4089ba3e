"""Each failure of a connection has its stable name, TLS included."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp.abc import ResolveResult

from egress_world import KIB, LOOPBACK, TEN, Answer, Names, failure, plain, redirect, saying, serving
from harness import free_port
from holdfast.adapters.egress import AiohttpEgress
from holdfast.ports.egress import Forbidden, Unreachable


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


# -- TLS ----------------------------------------------------------------------------------------------------------


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


def closing(answer: Answer) -> Answer:
    async def then_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(reader, writer)
        await writer.drain()
        writer.close()

    return then_close
