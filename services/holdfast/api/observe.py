"""Count every request by the route that answered it, its method and the class of its status.

Invariant: what a client says never becomes a label. A path that no route answers counts as `other`, and so does a
method that HTTP does not have.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.telemetry import metrics
from holdfast.telemetry.families import OTHER
from holdfast.telemetry.metrics import StatusClass

CLASSES = {str(number): status for number, status in enumerate(StatusClass, start=1) if status is not StatusClass.NONE}
"""The class of a status, by its first digit."""


def install(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Count the requests of an application, by its own routes and those of the routers that it includes."""
    routes = (route for routed in (app.router, *routers) for route in routed.routes)
    metrics.ROUTES.register(route.path for route in routes if isinstance(route, APIRoute))
    app.add_middleware(Observe)


class Observe:
    """ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._in_flight = metrics.HTTP_IN_FLIGHT.of()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count it when its answer is complete."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answered = StatusClass.NONE

        async def watch(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = CLASSES[str(message["status"])[0]]
            await send(message)

        began = time.perf_counter()
        self._in_flight.inc()
        try:
            await self._app(scope, receive, watch)
        except Exception:  # a defect: Starlette's own outermost layer answers 500
            answered = StatusClass.SERVER_ERROR
            raise
        finally:
            self._in_flight.dec()
            where = route_of(scope), scope["method"]
            metrics.HTTP_REQUESTS.of(*where, answered).inc()
            metrics.HTTP_SECONDS.of(*where).observe(time.perf_counter() - began)


def route_of(scope: Scope) -> str:
    """The template of the route that answered, such as `/v1/jobs/{job_id}`; the router leaves it in the scope."""
    route: BaseRoute | None = scope.get("route")
    return route.path if isinstance(route, APIRoute) else OTHER
