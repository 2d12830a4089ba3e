"""What the routes share: the runtime of this process, and the way to show a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import orjson
from fastapi import Depends, Request
from fastapi.responses import Response

from holdfast.api.schemas import job_out
from holdfast.domain import signed_url
from holdfast.domain.errors import InvalidField, UnknownKind
from holdfast.domain.job import Job
from holdfast.engine.results import artifacts_of
from holdfast.ports.handler import DEFAULT_POLICY
from holdfast.runtimes import ApiRuntime


@dataclass(frozen=True, slots=True)
class State:
    """The api's runtime, as the routes use it."""

    runtime: ApiRuntime

    def show(self, job: Job) -> dict[str, Any]:
        """A job's answer, with signed download links."""
        return job_out(job, self._max_attempts(job.kind), self._links(job))

    def signing_key(self) -> bytes:
        """Signs download links."""
        return self.runtime.core.settings.signing_key.get_secret_value().encode()

    def _max_attempts(self, kind: str) -> int:
        try:
            return self.runtime.core.kinds.get(kind).policy.max_attempts
        except UnknownKind:
            return DEFAULT_POLICY.max_attempts

    def _links(self, job: Job) -> Mapping[str, str]:
        if job.result is None:
            return {}
        expires = self.runtime.core.clock.now() + timedelta(seconds=self.runtime.core.settings.artifact_url_lifetime)
        paths = {a.name: f"/v1/jobs/{job.id}/artifacts/{quote(a.name)}" for a in artifacts_of(job.result)}
        return {name: f"{path}?{signed_url.sign(path, expires, self.signing_key())}" for name, path in paths.items()}


async def _state(request: Request) -> State:  # FastAPI would call a plain function in a thread
    state: State = request.app.state.holdfast
    return state


StateDep = Annotated[State, Depends(_state)]


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON, written by orjson without a second validation. (asyncpg's UUIDs are a class of their own: `str` them.)"""
    return Response(
        orjson.dumps(content, default=str), status, headers=dict(headers or {}), media_type="application/json"
    )


def cursor_id(cursor: str | None) -> UUID | None:
    """The id after which a page starts; raise InvalidField for anything that no page handed out."""
    if cursor is None:
        return None
    try:
        return UUID(cursor)
    except ValueError:
        raise InvalidField([("query:cursor", "not a cursor of ours; take next_cursor of the page before")]) from None


def next_cursor(ids: list[UUID], limit: int) -> str | None:
    """The cursor of the page after one with these ids."""
    return str(ids[-1]) if len(ids) == limit else None
