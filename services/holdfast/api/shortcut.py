"""The way of a well-formed submit past FastAPI: half of the processor's time of an accepted job went into its router,
its dependencies and its copies of what was sent.

Invariant: nothing is decided here. What FastAPI would do before it calls the functions of `api.jobs` is done by the
same functions in the same order, and whatever is not plain (another content type, a query, a key or a body that is not
right) goes to FastAPI, untouched, and is answered there. So an api without this layer answers the same, only later; a
test compares the two (tests/e2e/test_shortcut.py).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import orjson
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api import jobs, problems, rate_limit, schemas, strict
from holdfast.api.auth import caller_of
from holdfast.api.heads import field
from holdfast.domain.idempotency import valid_key
from holdfast.domain.tenancy import Role

JSON = "application/json"
Model = TypeVar("Model", schemas.JobIn, schemas.BatchIn)


class Shortcut:
    """ASGI middleware, around FastAPI and inside everything that refuses before it parses."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        posts = {it.path: it for it in jobs.router.routes if isinstance(it, APIRoute) and "POST" in (it.methods or ())}
        self._ways: dict[str, tuple[APIRoute, Callable[[Scope, bytes], Awaitable[Response]]]] = {
            "/v1/jobs": (posts["/v1/jobs"], _submit),
            "/v1/jobs/batch": (posts["/v1/jobs/batch"], _submit_batch),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on."""
        way = self._ways.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if way is None or scope["query_string"] or field(scope, b"content-type") != JSON:
            await self._app(scope, receive, send)
            return
        body, (route, answer) = await _body(receive), way
        try:
            response = await answer(scope, body)
            scope["route"] = route
        except _NotPlain:
            await self._app(scope, _again(body, receive), send)
            return
        except Exception as error:
            scope["route"] = route
            response = problems.answer_to(error, scope["path"])
        await response(scope, receive, send)


class _NotPlain(Exception):
    """FastAPI has to look at it."""


async def _submit(scope: Scope, raw: bytes) -> Response:
    key = field(scope, b"idempotency-key")
    if key is not None and not valid_key(key):
        raise _NotPlain
    body = _validated(schemas.JobIn, raw)
    caller = await caller_of(scope, Role.SUBMIT)
    state = scope["app"].state.holdfast
    charged = await rate_limit.charge(state, caller, 1)
    return await jobs.submit(body, state, caller, charged, key)


async def _submit_batch(scope: Scope, raw: bytes) -> Response:
    body = _validated(schemas.BatchIn, raw)
    return await jobs.submit_batch(body, scope["app"].state.holdfast, await caller_of(scope, Role.SUBMIT))


def _validated(model: type[Model], raw: bytes) -> Model:
    try:
        value = orjson.loads(raw)
        if strict.problems(raw, value):
            raise _NotPlain
        return model.model_validate(value)
    except (orjson.JSONDecodeError, ValidationError):
        raise _NotPlain from None


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for somebody who has not seen it."""
    unread = True

    async def replay() -> Message:
        nonlocal unread
        if not unread:
            return await receive()
        unread = False
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
