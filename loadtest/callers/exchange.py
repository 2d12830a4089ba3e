"""A kept connection: one request at a time, and its answer.

It reads what a server with `Content-Length` sends, and nothing else.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
END = b"\r\n\r\n"
Answered = Callable[["Exchange", bytes, bytes, float], Any]
"""What an answer is given to: with its head, its body, and the `time.perf_counter` at which its request was sent."""


class Exchange(asyncio.Protocol):
    """`answered` may send the next request, or close."""

    def __init__(self, answered: Answered) -> None:
        self._answered, self._buffer, self._sent = answered, b"", 0.0
        self.ended: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(END)
        if end and len(body) >= int(LENGTH.search(head + b"\r\n")[1]):
            self._buffer = b""
            self._answered(self, head, body, self._sent)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)

    def send(self, request: bytes) -> None:
        self._sent = time.perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()


async def connected(url: str, answered: Answered) -> Exchange:
    """A connection to the host of a URL."""
    parts = urlsplit(url)
    make = asyncio.get_running_loop().create_connection
    _, exchange = await make(lambda: Exchange(answered), parts.hostname, parts.port)
    return exchange


def around_the_key(url: str, body: str) -> tuple[bytes, bytes]:
    """What a POST of JSON has before its Idempotency-Key, and behind it."""
    parts = urlsplit(url)
    prefix = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body.encode())}\r\nIdempotency-Key: "
    )
    return prefix.encode(), END + body.encode()
