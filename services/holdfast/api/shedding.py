"""Refuse what the process cannot keep up with, before it is parsed.

Invariant: what is let in is answered about as fast as on a quiet day, whatever is offered, because no more is let in
than the process can have under way (`domain.concurrency`); and a refusal costs a small part of an answer, so that
refusing does not become the load. Only submits are held to it: probes, metrics, reads and operators get through.

A request counts from the moment its body is there until its answer. One whose body is still on its way counts for
nothing, or slow senders would keep the others out; it is asked again when the body has come.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import timedelta
from functools import cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api import problems
from holdfast.domain.concurrency import ConcurrencyLimit, Crowd
from holdfast.domain.errors import Overloaded, RefusedFor
from holdfast.telemetry import metrics

ONE, BATCH = "/v1/jobs", "/v1/jobs/batch"
BATCH_WEIGHT = 16
"""For as many requests a batch counts at most: more of its jobs are under way together, but each costs less."""
JOB_BYTES = 256
"""About the size of a small job in a batch."""


class Shedding:
    """ASGI middleware, inside the limit of the body and outside everything that parses one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._limit, self._crowd = ConcurrencyLimit(), Crowd()
        self._turning = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in {ONE, BATCH}:
            await self._app(scope, receive, send)
            return
        weight = _weight(scope)
        self._watch_turns()
        if not self._limit.has_room(weight):
            await self._refuse(scope, send)
            return
        body = await _body(receive)
        now = time.monotonic()
        if not self._limit.has_room(weight):  # it may have been long on its way
            await self._refuse(scope, send)
            return

        async def replay() -> Message:
            return body.popleft() if body else await receive()

        self._crowd.count(now, admitted=True)
        self._limit.begin(weight)
        under_way = self._limit.under_way
        try:
            await self._app(scope, replay, send)
        finally:
            end = time.monotonic()
            self._limit.end(weight)
            if weight == 1:  # a batch takes as long as it is large
                self._limit.answered(end - now, under_way, end)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        self._crowd.count(time.monotonic(), admitted=False)
        metrics.turned_away(RefusedFor.OVERLOAD)  # a batch counts once: how many jobs it has was not read
        headers, body = _refusal(scope["path"], self._crowd.retry_after())
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _watch_turns(self) -> None:
        """Measure how long a callback waits for its turn, one at a time, while requests come."""
        if self._turning:
            return
        self._turning, asked = True, time.monotonic()

        def turn() -> None:
            self._turning, now = False, time.monotonic()
            self._limit.turned(now - asked, now)

        asyncio.get_running_loop().call_soon(turn)


@cache
def _refusal(path: str, seconds: int) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body of a refusal, which is made once: of two paths, and at most `concurrency.LONGEST` seconds."""
    made = problems.of(Overloaded(timedelta(seconds=seconds))).response(path)
    return made.raw_headers, bytes(made.body)


async def _body(receive: Receive) -> deque[Message]:
    """Wait for all of the body, or for its sender to be gone."""
    messages = deque([await receive()])
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def _weight(scope: Scope) -> int:
    """How many requests this one counts for."""
    if scope["path"] == ONE:
        return 1
    declared = dict(scope["headers"]).get(b"content-length", b"")
    jobs = int(declared) // JOB_BYTES if declared.isdigit() else BATCH_WEIGHT
    return max(1, min(BATCH_WEIGHT, jobs))
