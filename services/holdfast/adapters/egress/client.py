"""`ports.egress.Egress` on aiohttp: one pool of connections per event loop, made in that loop when first used.

Invariant: every connection is opened by `GuardedDialler`, and nothing takes the request elsewhere: no proxies or
credentials from the environment, no cookies, and no redirects but those that are parsed and dialled like a first
request.

Every call ends within its timeout, all redirects and the whole body included, so a server that drips one byte a
second gains nothing.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDictProxy
from yarl import URL

from holdfast.adapters.egress.body import Identity, decoder_for, read_capped
from holdfast.adapters.egress.dial import TRIP, GuardedDialler, SystemResolver, Trip
from holdfast.adapters.egress.exchange import Answer, Exchange
from holdfast.adapters.egress.failures import translate
from holdfast.adapters.egress.guard import allowed_networks
from holdfast.adapters.egress.target import parse, where
from holdfast.ports.egress import Forbidden, Response, TooLarge, Unreachable
from holdfast.telemetry import spans, tracing

T = TypeVar("T")

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
KEEPALIVE = 4.0
"""Seconds an idle connection is kept. Node closes its own after 5 s, and a POST on a closed one fails for nothing."""
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class AiohttpEgress:
    """An HTTP client behind the egress guard.

    `allow` opens networks (CIDR) besides the public internet; raise ValueError for one that is not a network.
    `limit_per_host` caps the connections to one host and port, so that a slow one cannot take them all; a request
    that waits for one longer than its timeout fails as `HostBusy`. `tls` replaces the system's certificate
    authorities, for an intranet with its own. Call `close` in each loop before it ends.
    """

    def __init__(
        self,
        allow: Iterable[str] = (),
        *,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
        limit: int = 1000,
        limit_per_host: int = 100,
    ) -> None:
        self._dialler = GuardedDialler(allowed_networks(allow))
        self._resolver, self._tls = resolver or SystemResolver(), tls
        self._limit, self._limit_per_host = limit, limit_per_host
        self._exchanges: dict[asyncio.AbstractEventLoop, Exchange] = {}

    async def get(self, url: str, *, limit: int, timeout: timedelta) -> Response:
        """GET, following at most five redirects, each one guarded. Raise TooLarge past `limit` bytes."""
        started = time.monotonic()
        deadline = started + timeout.total_seconds()

        async def read(answer: Answer) -> Response | URL:
            if answer.status in REDIRECTS and "Location" in answer.headers:
                return _next(answer)
            return await _whole(answer, limit, started)

        target = parse(url)
        for _ in range(MAX_REDIRECTS + 1):
            found = await self._send("GET", target, deadline - time.monotonic(), read)
            if isinstance(found, Response):
                return found
            target = found
        raise Unreachable(f"{where(parse(url))} redirects more than {MAX_REDIRECTS} times", error="TooManyRedirects")

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, limit: int, timeout: timedelta
    ) -> Response:
        """POST without following redirects; the body of the answer is cut at `limit` bytes, and left encoded."""
        started = time.monotonic()

        async def read(answer: Answer) -> Response:
            data, truncated = await read_capped(answer, limit, Identity())
            return _response(answer, data, truncated, started)

        return await self._send("POST", parse(url), timeout.total_seconds(), read, headers, body)

    async def close(self) -> None:
        """Close the connections of the running loop."""
        exchange = self._exchanges.pop(asyncio.get_running_loop(), None)
        if exchange is not None:
            await exchange.connector.close()
        if not self._exchanges:
            await self._resolver.close()

    async def _send(
        self,
        method: str,
        url: URL,
        seconds: float,
        read: Callable[[Answer], Awaitable[T]],
        headers: Mapping[str, str] = _NO_HEADERS,
        body: bytes | None = None,
    ) -> T:
        """Send one request and read its answer; failures of either become the port's errors."""
        trip = Trip()
        token = TRIP.set(trip)
        try:
            with spans.requesting(method, url.host, url.port) as span:
                if method == "POST":  # to a receiver that was chosen by name; a fetched source need not know of us
                    headers = _traced(headers)
                async with asyncio.timeout(max(seconds, 0.001)):
                    answer = await self._ask(method, url, headers, body, trip)
                    spans.answered(span, answer.status)
                    try:
                        found = await read(answer)
                    except BaseException:
                        answer.close()
                        raise
                    answer.release()
                    return found
        except (aiohttp.ClientError, HttpProcessingError, TimeoutError, OSError) as error:
            raise translate(error, url, trip, seconds) from error
        finally:
            TRIP.reset(token)

    async def _ask(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None, trip: Trip) -> Answer:
        """Ask, and a GET once more: a kept connection may have been closed by the other side (RFC 9112, 9.3.1)."""
        exchange = self._exchange()
        try:
            return await exchange.ask(method, url, headers, body, trip)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            if method != "GET":
                raise
            return await exchange.ask(method, url, headers, body, trip)

    def _exchange(self) -> Exchange:
        loop = asyncio.get_running_loop()
        known = self._exchanges.get(loop)
        if known is None:
            self._forget_closed_loops()
            known = self._exchanges[loop] = Exchange(self._connector())
        return known

    def _connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            socket_factory=self._dialler,
            resolver=self._resolver,
            ssl=self._tls or True,
            ttl_dns_cache=10,
            limit=self._limit,
            limit_per_host=self._limit_per_host,
            keepalive_timeout=KEEPALIVE,
        )

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._exchanges if loop.is_closed()]:
            del self._exchanges[loop]


def _traced(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, with the place of this request in its trace, unless they name one."""
    place = tracing.here()
    return headers if place is None else {"traceparent": place, **headers}


async def _whole(answer: Answer, limit: int, started: float) -> Response:
    host, announced = where(answer.url), int(answer.headers.get("Content-Length", 0))
    if announced > limit:
        raise TooLarge(f"{host} announces {announced} bytes; at most {limit} are accepted")
    body, more = await read_capped(answer, limit, decoder_for(answer))
    if more:
        raise TooLarge(f"{host} sends more than the {limit} bytes that are accepted")
    return _response(answer, body, False, started)


def _next(answer: Answer) -> URL:
    """The URL that a redirect leads to; raise Forbidden when it would leave TLS."""
    answer.close()
    target = answer.url
    try:
        following = parse(str(target.join(URL(answer.headers["Location"]))))
    except ValueError:
        raise Unreachable(f"{where(target)} redirects to something that is not a URL", error="BrokenResponse") from None
    if target.scheme == "https" and following.scheme == "http":
        raise Forbidden(f"{where(target)} redirects from https to http; use the final URL", error="RedirectDowngrade")
    return following


def _response(answer: Answer, body: bytes, truncated: bool, started: float) -> Response:
    elapsed = timedelta(seconds=time.monotonic() - started)
    return Response(answer.status, _lower(answer.headers), body, truncated, elapsed)


def _lower(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Names in lower case, repeated ones joined (RFC 9110, 5.3), bytes that are no UTF-8 replaced."""
    merged: dict[str, str] = {}
    for name, value in headers.items():
        text = value if value.isascii() else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        key = name.lower()
        merged[key] = f"{merged[key]}, {text}" if key in merged else text
    return merged
