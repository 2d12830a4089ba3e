"""The idempotency gate: the fast answer to "have I seen this key?".

The gate is an accelerator. Its loss never lets a key through twice (the ledger's UNIQUE does that), it only
makes the answer slower. Every method raises RedisUnavailable when the store does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, Protocol
from uuid import UUID


class Keyed(NamedTuple):
    """A request under its key."""

    tenant: str
    key: str
    fingerprint: bytes


class Answered(NamedTuple):
    """The job that answers a request."""

    request: Keyed
    job_id: UUID


@dataclass(frozen=True, slots=True)
class Held:
    """The key is new, and now held for this request."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """Another request with this key is being handled; `retry_after` is when to ask again."""

    fingerprint: bytes
    retry_after: timedelta


@dataclass(frozen=True, slots=True)
class Known:
    """The key was answered before with this job."""

    fingerprint: bytes
    job_id: UUID


GateAnswer = Held | InFlight | Known


class Gate(Protocol):
    """One entry per tenant and key."""

    async def hold(self, requests: Sequence[Keyed]) -> list[GateAnswer]:
        """Hold each key for its request for a few seconds, or say who has it; in order."""
        ...

    async def remember(self, answers: Sequence[Answered]) -> None:
        """Turn each hold into an answer that is kept for at least 24 hours."""
        ...

    async def release(self, requests: Sequence[Keyed]) -> None:
        """Give the holds up: the requests were not accepted."""
        ...

    async def ping(self) -> None:
        """Raise RedisUnavailable unless the store answers."""
        ...
