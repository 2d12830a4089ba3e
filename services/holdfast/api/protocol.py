"""What a client may send before the application sees any of it: a head of bounded size, in bounded time.

uvicorn's parser takes heads of any length and waits for them for ever, so that one client that drips headers holds a
connection, and one that never ends them holds memory. Here a head that is too long, has too many fields or does not
arrive in time is refused with a problem document, and its connection closed. The body is bounded by `body_limit`.

A submit for which there is no room is turned away here too, at the end of its head (`turnstile`).
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from holdfast.api.problems import MEDIA_TYPE, Problem
from holdfast.api.turnstile import TURNSTILE, Turnstile

MAX_TARGET = 8 * 1024
"""Bytes of the path and the query."""
MAX_HEAD = 32 * 1024
"""Bytes of all header fields."""
MAX_FIELDS = 100
HEAD_SECONDS = 10.0
"""From the opening of the connection, or the first byte of a later request, to the end of the header fields."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol, with a bound on the head of every request.

    The lifespan's state may have a `Turnstile`, as `TURNSTILE`.
    """

    _refusal: Problem | None = None
    _timer: asyncio.TimerHandle | None = None
    url: bytes = b""
    _unparsed = 0
    """Bytes that came since the head began, while it is not complete: what the parser holds back in full."""
    _size = 0
    """Bytes of the header fields that it has let out."""
    _turned_away = False
    """Whether the request that is read now has its answer already."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and refuse a head that goes on and on."""
        super().data_received(data)
        if self._timer is None or self.transport.is_closing():
            return
        self._unparsed += len(data)
        if self._unparsed > MAX_HEAD + MAX_TARGET:
            self._refuse(_too_large())

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._size = self._unparsed = 0
        self._turned_away = False
        self._arm()

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        super().on_url(url)
        if len(self.url) > MAX_TARGET:
            detail = f"the path and the query have more than {MAX_TARGET} bytes; ask for less at a time"
            self._give_up(Problem(414, "uri-too-long", "URI too long", detail))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its header fields, or of the trailer after its body."""
        super().on_header(name, value)
        self._size += len(name) + len(value)
        if self._size > MAX_HEAD or len(self.headers) > MAX_FIELDS:
            self._give_up(_too_large())

    def on_headers_complete(self) -> None:
        """The head is complete."""
        self._disarm()
        self._turned_away = self._turn_away()
        if not self._turned_away:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        if not self._turned_away:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it was read."""
        if not self._turned_away:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when its parser stops: because of a refusal of ours, or because this is no HTTP."""
        self._refuse(self._refusal or Problem(400, "bad-request", "Bad Request", f"{msg} Send HTTP/1.1."))

    def _turn_away(self) -> bool:
        """Answer at once what there is no room for, unless an earlier answer is due or the connection is to end."""
        turnstile: Turnstile | None = self.app_state.get(TURNSTILE)
        answering: RequestResponseCycle | None = self.cycle  # which uvicorn declares as if there always were one
        if turnstile is None or (answering is not None and not answering.response_complete):
            return False
        if self.parser.get_http_version() != "1.1" or not self.parser.should_keep_alive():
            return False
        answer = turnstile.refusal(self.parser.get_method(), self.url, self.headers)
        if answer is None:
            return False
        own = [b"%b: %b\r\n" % pair for pair in self.server_state.default_headers]
        self.transport.write(b"".join([STATUS_LINE[503], *own, answer]))
        self.on_response_complete()
        return True

    def _give_up(self, problem: Problem) -> None:
        """End the parsing from within a callback of the parser."""
        self._refusal = problem
        raise ValueError(problem)

    def _refuse(self, problem: Problem) -> None:
        """Answer without the application, and close."""
        self._disarm()
        answer = problem.response(self.url.decode("latin-1").partition("?")[0] if self.url else "")
        status = HTTPStatus(answer.status_code)
        head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Type: {MEDIA_TYPE}\r\nConnection: close\r\n"
        body = bytes(answer.body)
        self.transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        self.transport.close()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if not self._unparsed:  # nothing came at all
            self.transport.close()
            return
        detail = f"the header fields did not arrive within {HEAD_SECONDS:g} seconds; send the request again"
        self._refuse(Problem(408, "request-timeout", "Request Timeout", detail))


def _too_large() -> Problem:
    detail = f"the header fields are more than {MAX_FIELDS}, or have more than {MAX_HEAD} bytes; send fewer"
    return Problem(431, "headers-too-large", "Request Header Fields Too Large", detail)
