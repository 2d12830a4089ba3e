"""The api process: routes, problems, authentication, and the steward beside them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from holdfast import __version__, bootstrap
from holdfast.api import (
    audit,
    breakers,
    console,
    dead_letters,
    docs_page,
    endpoints,
    health,
    jobs,
    keys,
    kinds,
    metrics,
    observe,
    openapi,
    problems,
    stats,
    uploads,
)
from holdfast.api.auth import Authenticator, open_to_anonymous
from holdfast.api.body_limit import BodyLimit
from holdfast.api.browsers import Guards, SameOrigin, SecurityHeaders
from holdfast.api.observe import Observe
from holdfast.api.request_id import RequestId
from holdfast.api.shedding import Load, Shedding
from holdfast.api.shortcut import Shortcut
from holdfast.api.state import State
from holdfast.api.turnstile import TURNSTILE, Turnstile
from holdfast.settings import Settings
from holdfast.steward import main as steward
from holdfast.telemetry import tracing
from holdfast.telemetry.exposition import Exposition
from holdfast.telemetry.families import Teller

log = structlog.get_logger(__name__)

BATCH_FACTOR = 16
"""A batch body may be this many times as large as that of one job."""

DESCRIPTION = """
Durable background jobs over RabbitMQ. Post a job with an `Idempotency-Key`; a 202 means that it is committed and
will end in exactly one of `succeeded`, `cancelled` or `dead`. Errors are problem documents (RFC 9457).
"""


def create(settings: Settings) -> FastAPI:
    """The application; its runtime lives as long as its lifespan."""
    load = Load() if settings.shed_load else None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with tracing.started("api"), bootstrap.api(settings) as runtime, _steward(settings):
            app.state.holdfast = State(runtime)
            app.state.authenticator = Authenticator(runtime.keys, settings)
            tellers = {Teller.API, Teller.STEWARD} if settings.steward_in_api else {Teller.API}
            app.state.exposition = Exposition("api", tellers, alone=settings.api_processes == 1)
            yield {TURNSTILE: Turnstile(load, Guards(tls=settings.api_tls).around)} if load else {}

    app: FastAPI = FastAPIOffline(
        title="Holdfast", version=__version__, description=DESCRIPTION, lifespan=lifespan, docs_url=None, redoc_url=None
    )
    problems.install(app)
    _surround(app, settings, load)
    modules = (jobs, uploads, dead_letters, endpoints, kinds, stats, breakers, keys, audit, health, metrics, docs_page)
    for module in modules:
        app.include_router(module.router)
    console.install(app)
    app.openapi = lambda: openapi.document(app)  # type: ignore[method-assign]
    observe.routes(app, [module.router for module in modules])
    return app


def _surround(app: FastAPI, settings: Settings, load: Load | None) -> None:
    """Put what holds for every answer around all of the application, so that a 500 has it too: the outermost first.

    What is refused here has cost little: nothing was parsed, and FastAPI has seen nothing of it.
    """
    inner = app.build_middleware_stack

    def outer() -> ASGIApp:
        answering: ASGIApp = Shortcut(inner())
        if load is not None:
            answering = Shedding(answering, load)
        answering = BodyLimit(answering, limit=lambda path: _body_limit(settings, path))
        origins = settings.api_origins
        answering = SameOrigin(answering, origins=origins, only_loopback=open_to_anonymous(settings))
        if origins:
            answering = CORSMiddleware(
                answering, origins, allow_methods=["*"], allow_headers=["*"], expose_headers=["*"]
            )
        return Observe(RequestId(SecurityHeaders(answering, tls=settings.api_tls)))

    app.build_middleware_stack = outer  # type: ignore[method-assign]


def settled(settings: Settings) -> FastAPI:
    """The application, as it is served."""
    app = create(settings)
    # A full collection of what was made by now takes a tenth of a second, and finds nothing: never look at it again.
    gc.collect()
    gc.freeze()
    return app


def _body_limit(settings: Settings, path: str) -> int:
    if path == "/v1/uploads":
        return settings.limits.source_bytes
    return settings.max_body_bytes * (BATCH_FACTOR if path == "/v1/jobs/batch" else 1)


@contextlib.asynccontextmanager
async def _steward(settings: Settings) -> AsyncIterator[None]:
    """Stand for election beside the api, unless the steward runs alone."""
    if not settings.steward_in_api:
        yield
        return
    task = asyncio.create_task(steward.serve(settings))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
