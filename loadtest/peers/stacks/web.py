"""The api in front of each peer: one endpoint that validates a job, hands it over, and answers 202 with its id.

`sync_app` hands over in a thread of Starlette's pool, as FastAPI does with every `def` endpoint; that is the right way
for a client that blocks. `async_app` hands over on the event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel


class Job(BaseModel):
    """What a caller posts."""

    kind: Literal["noop", "webhook"]
    payload: dict[str, Any] = {}


class Accepted(BaseModel):
    """What a caller gets."""

    id: str


def sync_app(hand_over: Callable[[str, dict[str, Any]], str]) -> FastAPI:
    """For a library whose producer blocks."""
    app = FastAPI()

    @app.post("/jobs", status_code=202)
    def submit(job: Job) -> Accepted:
        return Accepted(id=hand_over(job.kind, job.payload))

    return app


def async_app(
    hand_over: Callable[[str, dict[str, Any]], Awaitable[str]],
    running: Callable[[], AbstractAsyncContextManager[None]],
) -> FastAPI:
    """For a library whose producer is a coroutine; `running` is entered while the application serves."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with running():
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/jobs", status_code=202)
    async def submit(job: Job) -> Accepted:
        return Accepted(id=await hand_over(job.kind, job.payload))

    return app
