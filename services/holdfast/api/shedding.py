"""Refuse what the process cannot keep up with, before it is parsed.

Invariant: what is let in is answered about as fast as on a quiet day, whatever is offered, because no more is let in
than the process can have under way (`domain.concurrency`); and a refusal costs a small part of an answer, so that
refusing does not become the load. Only submits are held to it: probes, metrics, reads and operators get through.

A request counts from the moment its body is there until its answer. One whose body is still on its way counts for
nothing, or slow senders would keep the others out; it is asked again when the body has come. Most of what is refused
does not come as far as here: the `Turnstile` has turned it away.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from functools import cache

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api import problems
from holdfast.domain.concurrency import ConcurrencyLimit, Crowd
from holdfast.domain.errors import Overloaded, RefusedFor
from holdfast.telemetry import metrics

ONE, BATCH = "/v1/jobs", "/v1/jobs/batch"
SUBMITS = frozenset({ONE, BATCH})
BATCH_WEIGHT = 16
"""For as many requests a batch counts at most: more of its jobs are under way together, but each costs less."""
JOB_BYTES = 256
"""About the size of a small job in a batch."""


Fields = Sequence[tuple[bytes, bytes]]
"""Header fields as ASGI has them: names are in lower case."""


class Load:
    """What one process has under way, and whether it can take more."""

    def __init__(self) -> None:
        self.limit, self._crowd = ConcurrencyLimit(), Crowd()
        self._turning = False
        self._expected = 0

    def has_room(self, weight: int) -> bool:
        """Whether a request that counts for so many may begin."""
        self._watch_turns()
        return self.limit.has_room(weight)

    def expects(self, weight: int) -> bool:
        """The same of a request whose head was read; if so it is expected to begin in this turn of the event loop.

        One whose body comes later is asked again then, and meanwhile keeps nobody out.
        """
        self._watch_turns()
        if not self.limit.has_room(weight, self._expected):
            return False
        if not self._expected:
            asyncio.get_running_loop().call_soon(self._expect_none)
        self._expected += weight
        return True

    def _expect_none(self) -> None:
        self._expected = 0

    def begin(self, weight: int, now: float) -> None:
        """A request begins."""
        self._crowd.count(now, admitted=True)
        self.limit.begin(weight)

    def refusal(self, path: str) -> tuple[Fields, bytes]:
        """Count a request that is refused; return the headers and the body of its 503."""
        self._crowd.count(time.monotonic(), admitted=False)
        metrics.turned_away(RefusedFor.OVERLOAD)  # a batch counts once: how many jobs it has was not read
        return _refusal(path, self._crowd.retry_after())

    def _watch_turns(self) -> None:
        """Measure how much is done before a callback has its turn, one at a time, while requests come."""
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._ask)

    def _ask(self) -> None:
        """From among the callbacks: one that is asked for while the loop reads its sockets would wait for less."""
        asyncio.get_running_loop().call_soon(self._turn, time.thread_time())

    def _turn(self, asked: float) -> None:
        self._turning = False
        worked = time.thread_time()
        self.limit.turned(worked - asked, time.monotonic(), worked)


class Shedding:
    """ASGI middleware, inside the limit of the body and outside everything that parses one."""

    def __init__(self, app: ASGIApp, load: Load) -> None:
        self._app, self._load = app, load

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in SUBMITS:
            await self._app(scope, receive, send)
            return
        weight = weight_of(scope["path"], scope["headers"])
        if not self._load.has_room(weight):
            await self._refuse(scope, send)
            return
        body = await _body(receive)
        now = time.monotonic()
        if not self._load.has_room(weight):  # it may have been long on its way
            await self._refuse(scope, send)
            return

        async def replay() -> Message:
            return body.popleft() if body else await receive()

        self._load.begin(weight, now)
        limit = self._load.limit
        under_way = limit.under_way
        try:
            await self._app(scope, replay, send)
        finally:
            end = time.monotonic()
            limit.end(weight)
            if weight == 1:  # a batch takes as long as it is large
                limit.answered(end - now, under_way, end)

    async def _refuse(self, scope: Scope, send: Send) -> None:
        headers, body = self._load.refusal(scope["path"])
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@cache
def _refusal(path: str, seconds: int) -> tuple[Fields, bytes]:
    """Headers and body of a refusal, which is made once: of two paths, and at most `concurrency.LONGEST` seconds."""
    made = problems.of(Overloaded(timedelta(seconds=seconds))).response(path)
    return made.raw_headers, bytes(made.body)


async def _body(receive: Receive) -> deque[Message]:
    """Wait for all of the body, or for its sender to be gone."""
    messages = deque([await receive()])
    while messages[-1].get("more_body", False):
        messages.append(await receive())
    return messages


def weight_of(path: str, headers: Fields) -> int:
    """How many requests this one counts for."""
    if path == ONE:
        return 1
    declared = dict(headers).get(b"content-length", b"")
    jobs = int(declared) // JOB_BYTES if declared.isdigit() else BATCH_WEIGHT
    return max(1, min(BATCH_WEIGHT, jobs))
