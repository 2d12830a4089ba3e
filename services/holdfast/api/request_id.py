"""A name for every request: in its answer, on every line of the log that it causes, and in the audit trail."""

from __future__ import annotations

import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api.heads import field
from holdfast.telemetry.logs import about

HEADER = "X-Request-Id"
RAW = HEADER.lower().encode()
_GIVEN = re.compile(rb"[A-Za-z0-9._-]{8,64}")


def name_of(given: bytes | None) -> str:
    """A caller's id that is harmless in a log, and a new one otherwise."""
    return given.decode() if given and _GIVEN.fullmatch(given) else secrets.token_hex(16)


class RequestId:
    """ASGI middleware: names the requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with `scope["request_id"]`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = field(scope, RAW)
        request_id = scope["request_id"] = name_of(None if given is None else given.encode("latin-1"))
        named = (RAW, request_id.encode())

        async def name(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], named]
            await send(message)

        with about(request_id=request_id):
            await self._app(scope, receive, name)
