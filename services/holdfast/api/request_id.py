"""A name for every request: in its answer, on every line of the log that it causes, and in the audit trail."""

from __future__ import annotations

import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api.heads import field
from holdfast.telemetry.logs import about

HEADER = "X-Request-Id"
_RAW = HEADER.lower().encode()
_GIVEN = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestId:
    """ASGI middleware: takes over a caller's id that is harmless in a log, and makes one otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with `scope["request_id"]`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = field(scope, _RAW)
        request_id = scope["request_id"] = given if given and _GIVEN.fullmatch(given) else secrets.token_hex(16)
        named = (_RAW, request_id.encode())

        async def name(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], named]
            await send(message)

        with about(request_id=request_id):
            await self._app(scope, receive, name)
