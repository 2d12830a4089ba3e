"""Header fields of a request as ASGI has them, without making a mapping of all of them: a layer wants one or two."""

from __future__ import annotations

from starlette.types import Scope


def field(scope: Scope, name: bytes) -> str | None:
    """The first field of that name, which must be in lower case."""
    for given, value in scope["headers"]:
        if given == name:
            text: str = value.decode("latin-1")
            return text
    return None
