"""Refuse a body that is too large, or too slow, before anything parses it, and stop reading it there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api.problems import Problem

GRACE = 20.0
"""Seconds in which a body, or its first part, must have come."""
SLOWEST = 4096
"""Bytes a second that buy a longer body more time."""


class BodyLimit:
    """ASGI middleware: 413 past `limit(path)` bytes, declared or counted; 408 when it only drips in."""

    def __init__(self, app: ASGIApp, limit: Callable[[str], int]) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a counted body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit(scope["path"])
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            await _too_large(limit).response(scope["path"])(scope, receive, send)
            return
        body = _Counted(receive, limit)
        answer = _Answer(send, body)
        try:
            await self._app(scope, body.receive, answer.send)
        except ClientDisconnect:
            if not body.cut:
                raise
        if body.cut and not answer.started:
            problem = _too_large(limit) if body.exceeded else _too_slow()
            await problem.response(scope["path"])(scope, receive, send)


class _Counted:
    """A body that ends, as if the client had gone, where it exceeds its limit or its time."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self._size, self._complete, self._slow = 0, False, False
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()

    @property
    def exceeded(self) -> bool:
        """Whether the body was larger than its limit."""
        return self._size > self._limit

    @property
    def cut(self) -> bool:
        """Whether the application was told of a client that had gone, and had not."""
        return self.exceeded or self._slow

    async def receive(self) -> Message:
        """The next part, or a disconnect."""
        if self._complete:
            return await self._receive()  # waits for the client to go, for as long as that takes
        try:
            async with asyncio.timeout_at(self._began + GRACE + self._size / SLOWEST):
                message = await self._receive()
        except TimeoutError:
            self._slow = True
            return GONE
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        return GONE if self.exceeded else message


class _Answer:
    """What the application says, unless its body was cut: then it speaks of something that did not happen."""

    def __init__(self, send: Send, body: _Counted) -> None:
        self._send, self._body = send, body
        self.started = False

    async def send(self, message: Message) -> None:
        """Pass it on."""
        if self.started or not self._body.cut:
            self.started = True
            await self._send(message)


GONE: Message = {"type": "http.disconnect"}


def _too_slow() -> Problem:
    detail = f"the body did not arrive within {GRACE:g} seconds, and a second for each {SLOWEST} bytes; send it again"
    return Problem(408, "request-timeout", "Request Timeout", detail, headers={"Connection": "close"})


def _too_large(limit: int) -> Problem:
    detail = (
        f"the body is larger than {limit} bytes; send large sources to /v1/uploads and name the upload in the payload"
    )
    return Problem(413, "body-too-large", "Body too large", detail, limit_bytes=limit)
