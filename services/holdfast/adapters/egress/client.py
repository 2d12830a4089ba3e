"""`ports.egress.Egress` on aiohttp: one session per event loop, made in that loop when first used.

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
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDictProxy
from yarl import URL

from holdfast import __version__
from holdfast.adapters.egress.body import Identity, decoder_for, read_capped
from holdfast.adapters.egress.dial import TRIP, GuardedDialler, Phase, SystemResolver, Trip
from holdfast.adapters.egress.failures import translate
from holdfast.adapters.egress.guard import allowed_networks
from holdfast.adapters.egress.target import parse, where
from holdfast.ports.egress import Forbidden, Response, TooLarge, Unreachable
from holdfast.telemetry import spans, tracing

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_HEADERS = 100
MAX_HEADER_BYTES = 8 * 1024
"""Of one header line; together with MAX_HEADERS it bounds what a hostile answer can make us hold."""
KEEPALIVE = 4.0
"""Seconds an idle connection is kept. Node closes its own after 5 s, and a POST on a closed one fails for nothing."""


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
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}

    async def get(self, url: str, *, limit: int, timeout: timedelta) -> Response:
        """GET, following at most five redirects, each one guarded. Raise TooLarge past `limit` bytes."""
        started = time.monotonic()
        deadline = started + timeout.total_seconds()
        target = parse(url)
        for _ in range(MAX_REDIRECTS + 1):
            async with self._send("GET", target, deadline - time.monotonic()) as answer:
                if answer.status not in REDIRECTS or "Location" not in answer.headers:
                    return await _whole(answer, limit, started)
                target = _next(target, answer)
        raise Unreachable(f"{where(parse(url))} redirects more than {MAX_REDIRECTS} times", error="TooManyRedirects")

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, limit: int, timeout: timedelta
    ) -> Response:
        """POST without following redirects; the body of the answer is cut at `limit` bytes, and left encoded."""
        started = time.monotonic()
        async with self._send("POST", parse(url), timeout.total_seconds(), data=body, headers=headers) as answer:
            data, truncated = await read_capped(answer, limit, Identity())
            return _response(answer, data, truncated, started)

    async def close(self) -> None:
        """Close the connections of the running loop."""
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()
        if not self._sessions:
            await self._resolver.close()

    @asynccontextmanager
    async def _send(
        self, method: str, url: URL, seconds: float, **request: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request; failures while sending and while the caller reads become the port's errors."""
        trip = Trip()
        token = TRIP.set(trip)
        try:
            timeout = aiohttp.ClientTimeout(total=max(seconds, 0.001))
            with spans.requesting(method, url.host, url.port) as span:
                if method == "POST":  # to a receiver that was chosen by name; a fetched source need not know of us
                    request["headers"] = _traced(request["headers"])
                async with self._session().request(
                    method, url, timeout=timeout, allow_redirects=False, trace_request_ctx=trip, **request
                ) as answer:
                    spans.answered(span, answer.status)
                    yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise translate(error, url, trip, seconds) from error
        finally:
            TRIP.reset(token)

    def _session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if loop not in self._sessions:
            self._forget_closed_loops()
            self._sessions[loop] = self._open_session()
        return self._sessions[loop]

    def _open_session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            socket_factory=self._dialler,
            resolver=self._resolver,
            ssl=self._tls or True,
            ttl_dns_cache=10,
            limit=self._limit,
            limit_per_host=self._limit_per_host,
            keepalive_timeout=KEEPALIVE,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers={"User-Agent": f"Holdfast/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"},
            max_headers=MAX_HEADERS,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            trace_configs=[_phases()],
        )

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._sessions if loop.is_closed()]:
            self._sessions.pop(loop).detach()


def _traced(headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, with the place of this request in its trace, unless they name one."""
    place = tracing.here()
    return headers if place is None else {"traceparent": place, **headers}


async def _whole(answer: aiohttp.ClientResponse, limit: int, started: float) -> Response:
    host = where(answer.url)
    if (answer.content_length or 0) > limit:
        raise TooLarge(f"{host} announces {answer.content_length} bytes; at most {limit} are accepted")
    body, more = await read_capped(answer, limit, decoder_for(answer))
    if more:
        raise TooLarge(f"{host} sends more than the {limit} bytes that are accepted")
    return _response(answer, body, False, started)


def _next(target: URL, answer: aiohttp.ClientResponse) -> URL:
    """The URL that a redirect leads to; raise Forbidden when it would leave TLS."""
    answer.close()
    try:
        following = parse(str(target.join(URL(answer.headers["Location"]))))
    except ValueError:
        raise Unreachable(f"{where(target)} redirects to something that is not a URL", error="BrokenResponse") from None
    if target.scheme == "https" and following.scheme == "http":
        raise Forbidden(f"{where(target)} redirects from https to http; use the final URL", error="RedirectDowngrade")
    return following


def _response(answer: aiohttp.ClientResponse, body: bytes, truncated: bool, started: float) -> Response:
    elapsed = timedelta(seconds=time.monotonic() - started)
    return Response(answer.status, _lower(answer.headers), body, truncated, elapsed)


def _lower(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Names in lower case, repeated ones joined (RFC 9110, 5.3), bytes that are no UTF-8 replaced."""
    merged: dict[str, str] = {}
    for name, value in headers.items():
        text = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        key = name.lower()
        merged[key] = f"{merged[key]}, {text}" if key in merged else text
    return merged


def _phases() -> aiohttp.TraceConfig:
    """Keep each request's `Trip.phase`, so that a timeout can say what it timed out on."""

    def on(phase: Phase) -> Any:
        async def note(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
            context.trace_request_ctx.phase = phase

        return note

    trace = aiohttp.TraceConfig()
    trace.on_connection_queued_start.append(on(Phase.QUEUED))
    trace.on_dns_resolvehost_start.append(on(Phase.RESOLVING))
    trace.on_connection_create_start.append(on(Phase.CONNECTING))
    trace.on_connection_create_end.append(on(Phase.TALKING))
    trace.on_connection_reuseconn.append(on(Phase.TALKING))
    return trace
