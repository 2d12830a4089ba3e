"""The platform at a glance: once (`GET /v1/stats`), or every second over a WebSocket (`/ws/stats`).

The numbers are those of all tenants, so both need the role `operate`.

A browser cannot send an Authorization header with a WebSocket, and a key does not belong into a URL. So the first
message of the client is `{"authorization": "Bearer hf_…"}`, or `{}` where none is needed; each message after it is
the server's: the JSON of `GET /v1/stats`, or a problem document while the ledger does not answer.

    the server closes with    because
    4400                      the first message was not such an object, or did not come in time
    4401, 4403                the key is missing or unknown; it lacks the role
    1013                      too many are watching; fall back to GET
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, WebSocket
from fastapi.responses import Response
from starlette.websockets import WebSocketDisconnect

from holdfast.api import problems
from holdfast.api.auth import Authenticator, requires
from holdfast.api.state import State, StateDep, answer
from holdfast.api.stats_schemas import StatsOut, stats_out
from holdfast.api.strict import StrictRoute
from holdfast.domain.tenancy import Caller, Role
from holdfast.engine.overview import Overview, Sight, Watch

router = APIRouter(tags=["stats"], route_class=StrictRoute)

MOST_FOLLOWERS = 200
"""Per process."""
PATIENCE = 10.0
"""Seconds for the first message of a client, and for it to take one of ours."""


@router.get("/v1/stats", response_model=StatsOut)
async def stats(state: StateDep, _: Annotated[Caller, Depends(requires(Role.OPERATE))]) -> Response:
    """Jobs by state, what waits by queue and priority, and rates and percentiles of the last seconds."""
    return answer(stats_out(await state.runtime.watch.now(), state.runtime.core.settings))


@router.websocket("/ws/stats")
async def live_stats(socket: WebSocket) -> None:
    """Send a sight every second until the client goes."""
    state: State = socket.app.state.holdfast
    await socket.accept()
    try:
        refused = await _admit(socket, state.runtime.watch)
        if refused is not None:
            await socket.close(*refused)
            return
        await _follow(socket, state)
    except (WebSocketDisconnect, TimeoutError, RuntimeError):  # it went, or does not read; starlette says so in 3 ways
        return


async def _admit(socket: WebSocket, watch: Watch) -> tuple[int, str] | None:
    """None, or the code and reason to close with."""
    if watch.followers >= MOST_FOLLOWERS:
        return 1013, "too many are watching; ask GET /v1/stats"
    try:
        first: Any = orjson.loads(await asyncio.wait_for(socket.receive_text(), PATIENCE))
    except (orjson.JSONDecodeError, TimeoutError, KeyError):
        first = None
    if not isinstance(first, dict) or not isinstance(first.get("authorization"), str | None):
        return 4400, 'the first message must be {"authorization": "Bearer hf_…"}'
    authenticator: Authenticator = socket.app.state.authenticator
    try:
        caller = await authenticator.caller(first.get("authorization"))
    except problems.Problem as problem:
        return 4401, str(problem)[:120]
    return None if Role.OPERATE in caller.roles else (4403, "the API key lacks the role 'operate'")


async def _follow(socket: WebSocket, state: State) -> None:
    gone = asyncio.ensure_future(_until_gone(socket))
    try:
        async with aclosing(state.runtime.watch.follow()) as sights:  # type: ignore[type-var]
            async for sight in sights:
                if gone.done():
                    return
                await asyncio.wait_for(socket.send_text(_message(sight, state)), PATIENCE)
    finally:
        gone.cancel()


async def _until_gone(socket: WebSocket) -> None:
    """Nothing more is expected of the client; reading notices that it has gone."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _message(sight: Sight, state: State) -> str:
    settings = state.runtime.core.settings
    content = stats_out(sight, settings) if isinstance(sight, Overview) else problems.unavailable(sight).document
    return orjson.dumps(content, default=str).decode()
