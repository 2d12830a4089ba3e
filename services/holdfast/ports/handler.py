"""What a handler is: a kind, a payload schema, a policy, and one coroutine.

Third-party packages provide handlers through the entry point group `holdfast.handlers`; each entry point names
a class (called without arguments) or an instance that fits `Handler`. See `examples/plugin`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, runtime_checkable
from uuid import UUID

from pydantic import BaseModel

from holdfast.domain.attempt import Outcome
from holdfast.domain.backoff import RetryPolicy
from holdfast.ports.artifacts import Artifact, Artifacts
from holdfast.ports.browser import Browser
from holdfast.ports.downstreams import Call, Downstreams
from holdfast.ports.egress import Egress
from holdfast.ports.isolation import Isolation
from holdfast.ports.limits import Limits
from holdfast.ports.receivers import NO_RECEIVERS, Receivers

DEFAULT_POLICY = RetryPolicy()


@dataclass(slots=True)
class Context:
    """What a handler gets besides its payload: who it runs for, and its ways to the outside."""

    job_id: UUID
    tenant: str
    kind: str
    attempt: int
    """Counts from 1 over the whole life of the job."""
    idempotency_key: str
    """Hand it on to a downstream that knows idempotency keys, and the effect happens once there too."""
    created_at: datetime
    token: int
    artifacts: Artifacts
    egress: Egress
    isolation: Isolation
    downstreams: Downstreams
    limits: Limits
    find: Callable[[UUID, str], Awaitable[Artifact]]
    """Finds an artifact of an earlier job of the same tenant by job id and name; raises Rejected when there is none."""
    browser: Browser | None = None
    """None where the worker has none."""
    receivers: Receivers = NO_RECEIVERS
    """The webhook endpoints of the tenant."""
    saved: list[Artifact] = field(default_factory=list)
    """What `save` stored in this attempt; becomes `result.artifacts`."""

    def downstream(self, name: str) -> AbstractAsyncContextManager[Call]:
        """Call a downstream within this context, under the breaker and the limits of `name`: `smtp:mail.example.com`.

        Raises NotNow when it may not be called now; let that pass, and the job is parked without spending an attempt.
        How the block ends is evidence of the downstream's health (`ports.downstreams`).
        """
        return self.downstreams.call(name)

    async def save(self, name: str, data: bytes, media_type: str) -> Artifact:
        """Store a result under `name`, unique within the job, and list it in the job's result."""
        key = f"jobs/{self.job_id}/{self.token}/{name}"
        await self.artifacts.put(key, data, media_type)
        artifact = Artifact(name, key, media_type, len(data), hashlib.sha256(data).hexdigest())
        self.saved.append(artifact)
        return artifact


class Handler(Protocol):
    """Runs the jobs of one kind.

    `run` returns an Outcome, or raises Rejected (never retry) or TryLater (retry); any other exception is a
    surprise: it is logged with its traceback, kept for operators, and retried.
    """

    kind: ClassVar[str]
    """Dotted, lower case: `image.transform`."""
    queue: ClassVar[str]
    """The bulkhead that it runs in: `image`, `pdf`, `webhook` or `custom`."""
    Payload: ClassVar[type[BaseModel]]
    """Validates the payload at submit; use `extra="forbid"` so that typing errors are found there."""
    policy: ClassVar[RetryPolicy]
    time_limit: ClassVar[timedelta]
    """One attempt never runs longer."""

    async def run(self, context: Context, payload: Any) -> Outcome:
        """Do the work of one attempt; `payload` is an instance of `Payload`."""
        ...


@runtime_checkable
class Addressed(Protocol):
    """A payload that may name an endpoint of the tenant, which must exist when it is submitted."""

    endpoint_id: UUID | None


@runtime_checkable
class Ordered(Protocol):
    """A payload whose jobs may have to run one after the other: those of one destination and one ordering key."""

    ordering_key: str | None
    """None for a job that waits for no other."""

    def destination(self) -> str:
        """Who receives it, as far as the order is concerned."""
        ...


class Kinds(Protocol):
    """The handlers, by kind."""

    def get(self, kind: str) -> Handler:
        """The handler of a kind; raise UnknownKind."""
        ...

    def all(self) -> list[Handler]:
        """Every handler, by kind."""
        ...
