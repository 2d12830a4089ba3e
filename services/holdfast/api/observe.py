"""Count every request by the route that answered it, its method and the class of its status.

Invariant: what a client says never becomes a label. A path that no route answers counts as `other`, and so does a
method that HTTP does not have.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from opentelemetry.trace import Span, SpanKind
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.api.heads import field
from holdfast.telemetry import metrics, tracing
from holdfast.telemetry.families import OTHER
from holdfast.telemetry.label_values import Method, StatusClass

CLASSES = {str(number): status for number, status in enumerate(StatusClass, start=1) if status is not StatusClass.NONE}
"""The class of a status, by its first digit."""
UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds, by machines."""


def routes(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Register the routes of an application, its own and those of the routers that it includes, to be counted."""
    found = (route for routed in (app.router, *routers) for route in routed.routes)
    metrics.ROUTES.register(route.path for route in found if isinstance(route, APIRoute))


def count(route: str, method: str, answered: StatusClass, seconds: float) -> None:
    """Count a request."""
    metrics.HTTP_REQUESTS.of(route, method, answered).inc()
    metrics.HTTP_SECONDS.of(route, method).observe(seconds)


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
        answered, status = StatusClass.NONE, 0

        async def watch(message: Message) -> None:
            nonlocal answered, status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = CLASSES[str(status)[0]]
            await send(message)

        began = time.perf_counter()
        self._in_flight.inc()
        try:
            with _serving(scope) as span:
                await self._app(scope, receive, watch)
                _name(span, scope, status)
        except Exception:  # a defect, which Starlette has answered with 500
            answered = StatusClass.SERVER_ERROR
            raise
        finally:
            self._in_flight.dec()
            count(route_of(scope), scope["method"], answered, time.perf_counter() - began)


def _serving(scope: Scope) -> AbstractContextManager[Span | None]:
    """A span that continues the caller's trace; without tracing, what came is what is handed on."""
    place = field(scope, b"traceparent")
    if not tracing.on():
        return tracing.carrying(place) if place else nullcontext()
    if scope["path"] in UNTRACED:
        return nullcontext()
    return tracing.span(_method(scope), SpanKind.SERVER, {"http.request.method": _method(scope)}, parent=place)


def _name(span: Span | None, scope: Scope, status: int) -> None:
    if span is not None:
        route = route_of(scope)
        span.update_name(_method(scope) if route == OTHER else f"{_method(scope)} {route}")
        span.set_attributes({"http.route": route, "http.response.status_code": status})
        if status >= 500:
            tracing.fail(span, str(status))


def _method(scope: Scope) -> str:
    """As the semantic conventions have it, so that names of spans stay few."""
    return scope["method"] if scope["method"] in set(Method) else "_OTHER"


def route_of(scope: Scope) -> str:
    """The template of the route that answered, such as `/v1/jobs/{job_id}`; the router leaves it in the scope."""
    route: BaseRoute | None = scope.get("route")
    return route.path if isinstance(route, APIRoute) else OTHER
