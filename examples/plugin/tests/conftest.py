"""What a handler gets in these tests: a real store in a temporary folder, and real egress, opened to loopback."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from holdfast.adapters.artifacts import ObstoreArtifacts
from holdfast.adapters.egress import AiohttpEgress
from holdfast.domain.errors import Rejected
from holdfast.ports.artifacts import Artifact
from holdfast.ports.handler import Context
from holdfast.ports.limits import Limits
from holdfast.testing import lone_downstreams

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NewContext = Callable[..., Context]


@pytest.fixture
async def new_context(tmp_path: Path) -> AsyncIterator[NewContext]:
    """Makes the context of an attempt; `finds` are artifacts of earlier jobs."""
    egress = AiohttpEgress(["127.0.0.1/32"])
    downstreams = lone_downstreams()
    artifacts = ObstoreArtifacts(f"file://{tmp_path}/artifacts")

    def make(
        kind: str, *, tenant: str = "acme", key: str = "key-1", attempt: int = 1, finds: tuple[Artifact, ...] = ()
    ) -> Context:
        async def find(_job: UUID, name: str) -> Artifact:
            for artifact in finds:
                if artifact.name == name:
                    return artifact
            raise Rejected(f"there is no artifact {name}")

        return Context(
            job_id=uuid4(), tenant=tenant, kind=kind, attempt=attempt, idempotency_key=key,
            created_at=datetime(2026, 1, 1, 12, tzinfo=UTC), token=attempt, artifacts=artifacts, egress=egress,
            isolation=cast("Any", None), downstreams=downstreams, limits=Limits(), find=find,
        )  # fmt: skip

    yield make
    await egress.close()


@asynccontextmanager
async def serving(conversation: Conversation) -> AsyncIterator[int]:
    """A TCP server on loopback; gives its port."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await conversation(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
