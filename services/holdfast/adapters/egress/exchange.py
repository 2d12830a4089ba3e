"""One request and its answer, on a connection of aiohttp's pool.

aiohttp looks names up, dials through the guard, makes TLS, keeps connections and parses answers. Its `ClientSession`
is not used: cookies, credentials, proxies and redirects are nothing that may happen here, and the objects that it makes
for them cost each request three times what the request itself does.

Invariant: a connection goes back to the pool when its request is written and its answer read, both to their ends, and
nothing came behind that; else it is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.streams import StreamReader
from aiohttp.tracing import Trace
from multidict import CIMultiDictProxy
from yarl import URL

from holdfast import __version__
from holdfast.adapters.egress.dial import Phase, Trip

MAX_HEADERS = 100
MAX_HEADER_BYTES = 8 * 1024
"""Of one header line; together with MAX_HEADERS it bounds what a hostile answer can make us hold."""
MOST_ORIGINS = 1_000
"""Hosts and ports that are remembered."""
OURS = {"user-agent": f"Holdfast/{__version__}", "accept": "*/*", "accept-encoding": "identity"}
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
"""One timeout covers the whole exchange, and the caller has it."""


@dataclass(slots=True, eq=False)
class Answer:
    """The head of an answer; its body has not been read."""

    url: URL
    status: int
    headers: CIMultiDictProxy[str]
    content: StreamReader
    _connection: Connection

    def close(self) -> None:
        """End the exchange wherever it is."""
        self._connection.close()

    def release(self) -> None:
        """Give the connection back, if the exchange has come to its end."""
        transport = self._connection.transport
        if transport is None or transport.get_write_buffer_size():  # answered before it was asked in full
            self._connection.close()
        else:
            self._connection.release()


class Exchange:
    """Asks over the connections of one connector, in its event loop."""

    def __init__(self, connector: aiohttp.TCPConnector) -> None:
        self.connector = connector
        self._phases = _phases()
        self._origins: dict[tuple[str, str | None, int | None], aiohttp.ClientRequest] = {}

    async def ask(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None, trip: Trip) -> Answer:
        """Send a request; return the head of its final answer. Raises what aiohttp raises."""
        request = head(method, url, headers, body) + (body or b"")
        connection = await self._connection(url, trip)
        protocol, transport = cast(ResponseHandler, connection.protocol), connection.transport
        trip.phase = Phase.TALKING
        try:
            protocol.set_response_params(
                auto_decompress=False,
                read_until_eof=True,
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                max_headers=MAX_HEADERS,
            )
            if transport is None:
                raise aiohttp.ClientConnectionResetError("the connection was lost")
            transport.write(request)
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:
                message, content = await protocol.read()
        except BaseException:
            connection.close()
            raise
        return Answer(url, message.code, message.headers, content, connection)

    async def _connection(self, url: URL, trip: Trip) -> Connection:
        """A connection on which nothing has been said that nobody asked for."""
        origin = self._origin(url)
        traces = [Trace(cast(Any, None), self._phases, cast(Any, trip))]
        while True:
            connection = await self.connector.connect(origin, traces, _NO_TIMEOUT)
            if not cast(ResponseHandler, connection.protocol).should_close:
                return connection
            connection.close()

    def _origin(self, url: URL) -> aiohttp.ClientRequest:
        """What a connector wants to know of a request: where it goes. The same for all that go there."""
        key = url.scheme, url.raw_host, url.port
        known = self._origins.get(key)
        if known is None:
            if len(self._origins) >= MOST_ORIGINS:
                self._origins.clear()
            known = self._origins[key] = aiohttp.ClientRequest("GET", url.origin(), loop=asyncio.get_running_loop())
        return known


def head(method: str, url: URL, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """The request line and the headers; raise ValueError for a header that would be more than one line."""
    given = zip(map(str.lower, headers), headers.values(), strict=True)
    told = {**OURS, **dict(given), "host": url.host_port_subcomponent or ""}
    if body is not None:
        told["content-length"] = str(len(body))
    lines = [f"{method} {url.raw_path_qs} HTTP/1.1", *map(": ".join, told.items()), "", ""]
    text = "\r\n".join(lines)
    if not text.count("\r") == text.count("\n") == len(lines) - 1 or "\0" in text:
        raise ValueError("a header has a line break or a NUL in it")
    return text.encode()


def _phases() -> aiohttp.TraceConfig:
    """Keep each request's `Trip.phase`, so that a timeout can say what it timed out on."""

    def on(phase: Phase) -> Any:
        async def note(_session: Any, trip: Trip, _params: Any) -> None:
            trip.phase = phase

        return note

    trace = aiohttp.TraceConfig()
    trace.on_connection_queued_start.append(on(Phase.QUEUED))
    trace.on_dns_resolvehost_start.append(on(Phase.RESOLVING))
    trace.on_connection_create_start.append(on(Phase.CONNECTING))
    trace.freeze()
    return trace
