"""Every error as an RFC 9457 problem document, with a stable `type`.

No traceback and no input value reaches a client: a problem says what failed, why, and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from holdfast.domain import errors

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_SOON = timedelta(seconds=2)
"""What a client is told to wait while a dependency is away."""


class Problem(Exception):
    """A problem document; raise it from a route."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str,
        *,
        retry_after: timedelta | None = None,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.retry_after, self.headers = status, retry_after, dict(headers or {})
        self.document: dict[str, Any] = {
            "type": f"urn:holdfast:problem:{kind}",
            "title": title,
            "status": status,
            "detail": detail,
            **members,
        }
        if retry_after is not None:  # also for one job of a batch, which has no headers
            self.document["retry_after"] = max(1, math.ceil(retry_after.total_seconds()))

    def response(self, instance: str) -> Response:
        """The HTTP answer."""
        if self.retry_after is not None:
            self.headers["Retry-After"] = str(self.document["retry_after"])
        body = orjson.dumps({**self.document, "instance": instance})
        return Response(body, self.status, headers=self.headers, media_type=MEDIA_TYPE)


def of(error: Exception) -> Problem:
    """The problem that an error of ours is; any other is a defect."""
    match error:
        case errors.UnknownKind():
            return invalid([("/kind", str(error))], kind="unknown-kind", title="Unknown kind")
        case errors.InvalidField():
            return invalid(error.problems)
        case errors.IdempotencyMismatch():
            title = "Idempotency key used for another request"
            return Problem(422, "idempotency-key-reused", title, str(error), differs=error.differs)
        case errors.RequestInFlight():
            title = "Request in flight"
            return Problem(409, "request-in-flight", title, str(error), retry_after=error.retry_after)
        case errors.NotFound():
            return Problem(404, "not-found", "Not found", str(error))
        case errors.NotCancellable():
            return Problem(409, "not-cancellable", "Not cancellable", str(error), state=error.state)
        case errors.NotAdmitted():
            return not_admitted(error)
        case errors.Unavailable():
            return unavailable(error)
        case _:
            return internal()


def not_admitted(error: errors.NotAdmitted) -> Problem:
    """No more is taken now: nothing was done, and the same request may be sent again after a while."""
    after = error.retry_after
    match error:
        case errors.RateLimited():
            members: dict[str, Any] = {"violated-policies": error.violated}  # of the draft that RateLimit is from
            return Problem(429, "rate-limited", "Rate limited", str(error), retry_after=after, **members)
        case errors.Overloaded():
            return Problem(503, "overloaded", "Overloaded", str(error), retry_after=after)
        case errors.BacklogFull():
            members = {"queue": error.queue, "priority": error.priority, "ready": error.ready}
            return Problem(503, "backlog-full", "Backlog full", str(error), retry_after=after, **members)
        case _:
            detail = (
                "too many jobs wait for rabbitmq, which is away; nothing was done, send the same request again later"
            )
            return Problem(503, "outbox-full", "Outbox full", detail, retry_after=after, dependency="rabbitmq")


def unavailable(error: errors.Unavailable) -> Problem:
    """A dependency is away: nothing was accepted, and the same request may be sent again."""
    detail = f"{error.dependency} does not answer now, so nothing was done; send the same request again"
    title = "Dependency unavailable"
    return Problem(503, "dependency-unavailable", title, detail, retry_after=RETRY_SOON, dependency=error.dependency)


def internal() -> Problem:
    """A defect of ours. Its details are in the log."""
    detail = "Holdfast failed in an unexpected way, which its log explains; with an Idempotency-Key it is safe to retry"
    return Problem(500, "internal-error", "Internal error", detail)


def invalid(
    problems: Sequence[tuple[str, str]], *, kind: str = "invalid-request", title: str = "Invalid request"
) -> Problem:
    """Fields that cannot be taken as they are: (JSON pointer, message) pairs."""
    detail = "; ".join(f"{pointer or 'the body'}: {message}" for pointer, message in problems)
    members = [{"pointer": pointer, "detail": message} for pointer, message in problems]
    return Problem(422, kind, title, detail, errors=members)


def answer_to(error: Exception, path: str) -> Response:
    """The answer of a request to `path` that ended so."""
    match error:
        case Problem():
            return error.response(path)
        case errors.HoldfastError():
            if isinstance(error, errors.Unavailable):
                log.warning("request_unavailable", path=path, why=str(error))
            return of(error).response(path)
        case _:
            log.error("request_failed", path=path, exc_info=error)
            return internal().response(path)


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""

    @app.exception_handler(Problem)
    @app.exception_handler(errors.HoldfastError)
    @app.exception_handler(Exception)
    async def on_error(request: Request, error: Exception) -> Response:
        return answer_to(error, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return _validation(error).response(request.url.path)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        name = phrase.lower().replace(" ", "-")
        detail = str(error.detail) if error.detail != phrase else f"{request.method} {request.url.path}: {phrase}"
        return Problem(error.status_code, name, phrase, detail, headers=error.headers).response(request.url.path)


def _validation(error: RequestValidationError) -> Problem:
    details = error.errors()
    if any(detail["type"] == "json_invalid" for detail in details):
        reason = details[0].get("ctx", {}).get("error", "")
        return Problem(400, "malformed-json", "Malformed JSON", f"the body is not valid JSON: {reason}")
    return invalid([(_pointer(detail["loc"]), detail["msg"]) for detail in details])


def _pointer(location: Sequence[Any]) -> str:
    """A JSON pointer into the body; for a parameter its place and name."""
    place, *path = location
    if place == "body":
        return "".join(f"/{part}" for part in path)
    return f"{place}:{'.'.join(map(str, path))}"
