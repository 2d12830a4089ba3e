"""A world for handlers: artifacts in a dict, an internet in a dict, and real isolated children."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.adapters.isolation.pool import SubprocessIsolation
from holdfast.domain.errors import NotFound, Rejected
from holdfast.ports.artifacts import Artifact
from holdfast.ports.egress import Response, TooLarge, Unreachable
from holdfast.ports.handler import Context
from holdfast.ports.limits import Limits
from holdfast.testing import lone_downstreams

JOB = uuid.UUID("01900000-0000-7000-8000-000000000001")


class Shelf:
    """Artifacts in a dict."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def put(self, key: str, data: bytes, media_type: str) -> None:
        self.objects.setdefault(key, data)

    async def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise NotFound(key)
        return self.objects[key]

    async def size(self, key: str) -> int:
        return len(await self.get(key))

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        yield await self.get(key)

    async def url(self, key: str, media_type: str, lifetime: timedelta) -> str | None:
        return None

    async def ping(self) -> None: ...


class Web:
    """The internet in a dict: URL to (status, headers, body). `asked` lists the requests."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, Mapping[str, str], bytes]] = {}
        self.asked: list[str] = []

    def serve(self, url: str, body: bytes, media_type: str = "", status: int = 200, **headers: str) -> None:
        self.pages[url] = (status, {"content-type": media_type} | headers, body)

    async def get(self, url: str, *, limit: int, timeout: timedelta) -> Response:
        self.asked.append(url)
        if url not in self.pages:
            raise Unreachable(f"{url} does not answer")
        status, headers, body = self.pages[url]
        if len(body) > limit:
            raise TooLarge(f"{url} has more than {limit} bytes")
        return Response(status, headers, body, False, timedelta(0))

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], **_: Any) -> Response:
        raise NotImplementedError


class World:
    """Makes contexts, and keeps what they store."""

    def __init__(self, isolation: SubprocessIsolation) -> None:
        self.artifacts, self.web, self.isolation = Shelf(), Web(), isolation
        self.downstreams = lone_downstreams()
        self.token = 0

    def context(self, limits: Limits | None = None) -> Context:
        self.token += 1
        return Context(
            job_id=JOB,
            tenant="acme",
            kind="test",
            attempt=1,
            idempotency_key="key",
            created_at=datetime.now(UTC),
            token=self.token,
            artifacts=self.artifacts,
            egress=self.web,
            isolation=self.isolation,
            downstreams=self.downstreams,
            limits=limits or Limits(),
            find=self._find,
        )

    def upload(self, data: bytes) -> dict[str, str]:
        number = str(uuid.uuid4())
        self.artifacts.objects[f"uploads/acme/{number}"] = data
        return {"upload": number}

    def saved(self, name: str) -> bytes:
        return self.artifacts.objects[f"jobs/{JOB}/{self.token}/{name}"]

    async def _find(self, job_id: uuid.UUID, name: str) -> Artifact:
        key = f"jobs/{job_id}/1/{name}"
        if key not in self.artifacts.objects:
            raise Rejected(f"job {job_id} has no artifact {name}")
        return Artifact(name, key, "", len(self.artifacts.objects[key]), "")
