"""Servers on loopback that answer as a test wants, and a name server under its control."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from holdfast.adapters.egress import AiohttpEgress
from holdfast.ports.egress import Unreachable

LOOPBACK = ("127.0.0.1/32",)
TEN = timedelta(seconds=10)
KIB = 1024

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """A TCP server on 127.0.0.1 that reads one request at a time and lets the test write the answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[str] = []
        self.connections = self.port = 0
        self.talking: set[asyncio.Task[None]] = set()
        self.writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self.talking.add(talk)
        talk.add_done_callback(self.talking.discard)

    async def hang_up(self) -> None:
        for talk in self.talking:
            talk.cancel()
        await asyncio.gather(*self.talking, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode("utf-8", "replace"))
                await self.answer(reader, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def serving(answer: Answer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    server = Server(answer)
    listener = await asyncio.start_server(server, host, 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.hang_up()


def saying(*parts: bytes) -> Answer:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(parts))

    return answer


def plain(body: bytes, *headers: str, status: str = "200 OK") -> Answer:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return saying("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def redirect(to: str) -> Answer:
    return plain(b"", f"Location: {to}", status="302 Found")


class Names(AbstractResolver):
    """A name server under the test's control: each lookup of a name takes the next of its answers."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(each) for name, each in answers.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        queue = self.answers.get(host)
        if not queue:
            raise OSError(None, "no such name")
        addresses = queue.pop(0) if len(queue) > 1 else queue[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None: ...


async def failure(egress: AiohttpEgress, url: str) -> str:
    with pytest.raises(Unreachable) as failed:
        await egress.get(url, limit=KIB, timeout=timedelta(seconds=30))
    return failed.value.error
