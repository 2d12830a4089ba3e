"""What keeps a browser from being turned against the api, or against what the api serves.

Every answer says that it must not be framed, sniffed, referred to, or (but for files) cached; a page (`text/html`)
may load only what this api serves. A request of a page of another origin is refused where it could change or show
anything: what changes something by its method, and every WebSocket.

An api that is open to requests without a key (development, on loopback) answers only to the names of loopback: a page
whose own name has been made to point there (DNS rebinding) would otherwise pass for one of ours.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api.heads import field
from holdfast.api.problems import Problem

NOT_A_PAGE = "default-src 'none'; frame-ancestors 'none'"
FILE = "sandbox; default-src 'none'; frame-ancestors 'none'"
"""For a file that somebody else made: whatever it is, it runs nothing and belongs to no origin."""
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Where the answer does not say otherwise."""
HSTS = "max-age=31536000; includeSubDomains"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_CSP = b"content-security-policy"


def page(html: bytes | str = b"") -> str:
    """The policy of a page: what it loads comes from this api, and the scripts in `html` are named by their hash."""
    text = html.encode() if isinstance(html, str) else html
    inline = re.findall(rb"<script>(.*?)</script>", text, re.DOTALL)
    hashes = "".join(f" 'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'" for script in inline)
    return (
        f"default-src 'none'; script-src 'self'{hashes}; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


class SecurityHeaders:
    """ASGI middleware: the headers of every answer. `tls` is whether clients reach the api over TLS."""

    def __init__(self, app: ASGIApp, *, tls: bool) -> None:
        self._app, self._guards = app, Guards(tls=tls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._guards.around(message["headers"])
            await send(message)

        await self._app(scope, receive, guarded)


class Guards:
    """The headers that keep an answer from being misused."""

    def __init__(self, *, tls: bool) -> None:
        always = ALWAYS | ({"Strict-Transport-Security": HSTS} if tls else {})
        self._always = [(name.lower().encode(), value.encode()) for name, value in always.items()]

    def around(self, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The headers of an answer, with those that it does not have."""
        said = dict(headers)
        added = [pair for pair in self._always if pair[0] not in said]
        if b"etag" not in said and b"cache-control" not in said:
            added.append((b"cache-control", b"no-store"))
        if _CSP not in said:
            is_page = said.get(b"content-type", b"").startswith(b"text/html")
            added.append((_CSP, page().encode() if is_page else NOT_A_PAGE.encode()))
        return [*headers, *added]


class SameOrigin:
    """ASGI middleware: refuses what a page of a foreign origin asks for.

    `origins` are those of other pages that may, as `https://host[:port]`; `only_loopback` is whether the api is open
    to requests without a key, and so must not answer to any other name.
    """

    def __init__(self, app: ASGIApp, *, origins: Collection[str], only_loopback: bool) -> None:
        self._app, self._only_loopback = app, only_loopback
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass the request on."""
        problem = self._refusal(scope) if scope["type"] in {"http", "websocket"} else None
        if problem is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await problem.response(scope["path"])(scope, receive, send)
        else:  # before it is accepted: the client sees the handshake fail with a 403
            await send({"type": "websocket.close", "code": 1008, "reason": str(problem)[:120]})

    def _refusal(self, scope: Scope) -> Problem | None:
        host = field(scope, b"host") or ""
        if self._only_loopback and host and not _is_loopback(host):
            detail = (
                f"this api takes requests without a key, so it answers only as localhost, not as {host!r}; call it by "
                "that name, or set HOLDFAST_ENVIRONMENT=production and make keys"
            )
            return Problem(421, "misdirected-request", "Misdirected Request", detail)
        if scope["type"] == "http" and scope["method"] in SAFE_METHODS:
            return None
        origin = field(scope, b"origin")
        if origin is None:
            foreign = field(scope, b"sec-fetch-site") == "cross-site"
        else:
            asking = _authority(origin)  # None for the origin `null` of a sandboxed page
            foreign = origin not in self._origins and (asking is None or asking != _authority(f"//{host}", origin))
        if not foreign:
            return None
        who = f"a page of {origin}" if origin else "a page of another site"
        detail = f"{who} may not do this; list its origin in HOLDFAST_API_ORIGINS if it may"
        return Problem(403, "foreign-origin", "Foreign origin", detail)


def _authority(url: str, like: str | None = None) -> tuple[str | None, int | None] | None:
    """Host and port; the default port is that of the scheme of `like`. None for what is no address (`null`)."""
    try:
        parts, scheme = urlsplit(url), urlsplit(like or url).scheme
        return (parts.hostname, parts.port or _DEFAULT_PORTS.get(scheme)) if parts.hostname else None
    except ValueError:
        return None


@lru_cache(256)  # clients call us by few names, or are refused
def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
