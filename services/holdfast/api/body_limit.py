"""Refuse a body that is too large before anything parses it, and stop reading it there."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api.problems import Problem


class BodyLimit:
    """ASGI middleware: 413 past `limit(path)` bytes, declared or counted."""

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
            if not body.exceeded:
                raise
        if body.exceeded and not answer.started:
            await _too_large(limit).response(scope["path"])(scope, receive, send)


class _Counted:
    """A body that ends, as if the client had gone, where it exceeds its limit."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._left = receive, limit

    @property
    def exceeded(self) -> bool:
        """Whether the body was larger than its limit."""
        return self._left < 0

    async def receive(self) -> Message:
        """The next part, or a disconnect."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        return {"type": "http.disconnect"} if self.exceeded else message


class _Answer:
    """What the application says, unless its body was cut: then it speaks of something that did not happen."""

    def __init__(self, send: Send, body: _Counted) -> None:
        self._send, self._body = send, body
        self.started = False

    async def send(self, message: Message) -> None:
        """Pass it on."""
        if self.started or not self._body.exceeded:
            self.started = True
            await self._send(message)


def _too_large(limit: int) -> Problem:
    detail = (
        f"the body is larger than {limit} bytes; send large sources to /v1/uploads and name the upload in the payload"
    )
    return Problem(413, "body-too-large", "Body too large", detail, limit_bytes=limit)
