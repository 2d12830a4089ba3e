"""What a request may say: text that can be kept, JSON of bounded depth.

`json.loads` takes what nothing behind it can: lone surrogates, NaN, nesting of any depth. Here the body is parsed by
orjson, which takes none of them, and what it does take is looked over where a glance at the bytes says that it may
matter. The payload of a job is its handler's own affair and may hold NUL; no other text may, for PostgreSQL keeps none.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from itertools import chain
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from holdfast.domain.errors import InvalidField

MAX_DEPTH = 64
"""Of arrays and objects in each other. orjson writes none deeper than 254."""
_NUL = "has a NUL character (U+0000), which cannot be kept; leave it out"


class StrictRoute(APIRoute):
    """A route whose requests hold only text that can be kept. Every router of the api has it as its class."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the check."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            if b"%00" in request.scope["query_string"]:
                raise InvalidField([("query", _NUL)])
            if b"%00" in request.scope.get("raw_path", b""):
                raise InvalidField([("path", _NUL)])
            try:
                return await handle(_StrictRequest(request.scope, request.receive))
            except HTTPException as error:
                if isinstance(error.__cause__, InvalidField):  # FastAPI makes a bare 400 of what `json` raises
                    raise error.__cause__ from None
                raise

        return strict


class _StrictRequest(Request):
    async def json(self) -> Any:
        """The body, parsed; raise JSONDecodeError, or InvalidField for what JSON allows and we do not."""
        raw = await self.body()
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            if "surrogate" in str(error):
                raise InvalidField([("", f"has half of a surrogate pair, which is no text: {error}")]) from error
            raise
        found = problems(raw, value)
        if found:
            raise InvalidField(found[:10])
        return value


def problems(raw: bytes, value: Any) -> list[tuple[str, str]]:
    """(JSON pointer, message) of what cannot be kept of JSON; looked for only where a glance at it says that it may."""
    deep = raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _deep(value)
    return list(_problems(value)) if deep or b"\\u0000" in raw else []


def _deep(value: Any) -> bool:
    """Whether it is nested deeper than it may be; much faster than to look for where."""
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = chain.from_iterable(it.values() if type(it) is dict else it for it in level)
        level = [part for part in inner if type(part) is dict or type(part) is list]
        if not level:
            return False
    return True


def _problems(value: Any) -> Iterator[tuple[str, str]]:
    left: list[tuple[str, int, bool, Any]] = [("", 1, False, value)]
    while left:
        pointer, depth, free, it = left.pop()
        if isinstance(it, str):
            if "\x00" in it and not free:
                yield pointer, _NUL
        elif isinstance(it, dict | list):
            if depth > MAX_DEPTH:
                yield pointer, f"is nested deeper than {MAX_DEPTH} arrays and objects; send it as text, or flatter"
                return
            parts = it.items() if isinstance(it, dict) else enumerate(it)
            for name, part in parts:
                if isinstance(name, str) and "\x00" in name and not free:
                    yield pointer, _NUL
                left.append((f"{pointer}/{name}", depth + 1, free or name == "payload", part))
