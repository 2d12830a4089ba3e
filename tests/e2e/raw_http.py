"""A client that speaks HTTP byte by byte, to say what no library would."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import httpx

from harness import Platform


class Wire:
    """One connection to the api."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def send(self, data: bytes) -> bool:
        """Whether the api still takes it."""
        try:
            self.connection.sendall(data)
        except OSError:
            return False
        return True

    def answer(self) -> httpx.Response:
        """All that the api says until it closes."""
        said = b""
        with contextlib.suppress(ConnectionError):
            while part := self.connection.recv(65536):
                said += part
        head, _, body = said.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = [tuple(field.split(": ", 1)) for field in fields]
        return httpx.Response(int(first.split()[1]), headers=headers, content=body)  # type: ignore[arg-type]


KERNEL = 64 * 1024
"""Bytes of the send buffer: without a bound the kernel takes nearly 3 MB that nobody at the other end has read."""


@contextlib.contextmanager
def wire(platform: Platform, *, within: float = 30.0) -> Iterator[Wire]:
    """A connection on which the api must say something within so many seconds; what it does not read cannot be sent."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL)
        connection.settimeout(within)
        connection.connect(("127.0.0.1", platform.port))
        yield Wire(connection)
