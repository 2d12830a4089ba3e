"""The OpenAPI document: what FastAPI makes of the routes, and the problems that each of them can answer with.

A route declares the problems of its own (`responses=`). What follows from what it is (it takes a body, needs a key,
names a thing that may not be there) is added here, so that no route can forget it.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ConfigDict

from holdfast.api.problems import MEDIA_TYPE


class FieldProblem(BaseModel):
    """One field that is wrong: a JSON pointer into the body, or `query:…`, `path:…`, `header:…`."""

    pointer: str
    detail: str


class ProblemOut(BaseModel):
    """A problem document (RFC 9457). `type` is stable; each may have members of its own."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[FieldProblem] | None = None


ANY = {
    "421": "An api that needs no key was called by another name than localhost",
    "422": "`errors` names what cannot be taken",
    "500": "A defect; the log has the request's `X-Request-Id`",
    "503": "A dependency is away, or the platform is full: `Retry-After` says when to try again",
}
WITH_KEY = {"401": "No key, or one that is not in force", "403": "The key lacks the role, or a foreign page asks"}
WITH_BODY = {"400": "No JSON", "408": "The body came too slowly", "413": "The body is too large"}
WITH_NAME = {"404": "There is no such thing, or it is another tenant's"}
REST = "What is refused before it is read: a target or header fields that are too long (414, 431)"
OPEN = frozenset({"/healthz", "/readyz", "/v1/kinds"})
"""Paths that need no key."""
_BEARER = "bearer"


def document(app: FastAPI) -> dict[str, Any]:
    """Make the document once; `/openapi.json` and `/docs` show it."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        components = made.setdefault("components", {})
        schemas = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
        components.setdefault("schemas", {}).update(schemas.pop("$defs"), ProblemOut=schemas)
        components["securitySchemes"] = {
            _BEARER: {"type": "http", "scheme": "bearer", "description": "An API key: `hf_…`"}
        }
        for path, item in made["paths"].items():
            for method, operation in item.items():
                _complete(path, method, operation)
        app.openapi_schema = made
    return app.openapi_schema


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    told = dict(ANY)
    if path not in OPEN:
        told |= WITH_KEY
        operation["security"] = [{_BEARER: []}]
    if method not in {"get", "head"}:
        told |= {"403": WITH_KEY["403"]} | WITH_BODY
    if "{" in path:
        told |= WITH_NAME
    responses = operation["responses"]
    for status, description in told.items():
        if status not in responses or status == "422":
            responses[status] = {"description": description}
    responses["default"] = {"description": REST}
    for status, response in responses.items():
        if status == "default" or status >= "400":
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
