"""What the tests of the ledger and the engine are made of: a clock that can be set, jobs, failures, settlements."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from holdfast.domain.attempt import Claim, Outcome, Refusal, Ticket
from holdfast.domain.backoff import RetryPolicy
from holdfast.domain.dead_letter import DeadLetter, DeadReason, Failure
from holdfast.domain.endpoint import Endpoint
from holdfast.domain.job import Job, job_id
from holdfast.domain.request import JobRequest
from holdfast.domain.settlement import Settlement, decide

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LEASE = timedelta(minutes=5)
LOST = timedelta(seconds=-60)
"""A lease that has run out before it began: Postgres tells its own time, so tests cannot move it."""
BROKEN = Failure(None, "Broken", "the downstream broke")
"""A failure that may be tried again."""
FATAL = Failure(DeadReason.REJECTED, "NotAnImage", "the source is no image")
"""A failure that ends a job."""


@dataclass
class FakeClock:
    """Time and chance as the test wants them; ids are UUIDv7s that grow."""

    time: datetime = NOW
    lot: float = 0.0
    _ids: Iterator[int] = field(default_factory=count)

    def now(self) -> datetime:
        return self.time

    def draw(self) -> float:
        return self.lot

    def new_id(self) -> UUID:
        return growing_id(int(self.time.timestamp() * 1000), next(self._ids))

    def pass_by(self, **duration: float) -> None:
        self.time += timedelta(**duration)


def growing_id(now_ms: int, number: int) -> UUID:
    """A UUIDv7 that sorts by its number within its millisecond, and is not drawn twice."""
    carry, low = divmod(number, 1 << 12)
    return job_id(now_ms + carry, (low << 64 | secrets.randbits(62)).to_bytes(10, "big"))


_numbers = count(1)


def make_request(**changes: Any) -> JobRequest:
    """A request; `changes` override its fields."""
    values: dict[str, Any] = {"tenant": "acme", "kind": "test.echo", "payload": {"say": "hello"}, "priority": 12}
    return JobRequest(**values | changes)


def make_job(*, now: datetime | None = None, queue: str = "image", **changes: Any) -> Job:
    """A job as `submit` would make it, with a key of its own unless one is given."""
    moment = now or datetime.now(UTC)
    number = next(_numbers)
    changes.setdefault("key", f"key-{number}-{secrets.token_hex(4)}")
    lane = changes.pop("lane", None)
    return make_request(**changes).job(growing_id(int(moment.timestamp() * 1000), number), queue, moment, lane)


def make_endpoint(**changes: Any) -> Endpoint:
    """An endpoint of its own id; `changes` override its fields."""
    moment = datetime.now(UTC)
    values: dict[str, Any] = {
        "id": growing_id(int(moment.timestamp() * 1000), next(_numbers)),
        "tenant": "acme",
        "url": "https://hooks.example.com/in",
        "created_at": moment,
        "since": moment,
    }
    return Endpoint(**values | changes)


def settlement(claim: Claim, outcome: Outcome, *, draw: float = 0.0, policy: RetryPolicy | None = None) -> Settlement:
    """What the engine would write for the outcome."""
    return decide(claim, outcome, policy or RetryPolicy(), datetime.now(UTC), draw)


def granted(answer: Claim | Refusal) -> Claim:
    """The claim, where the test needs one."""
    assert isinstance(answer, Claim), f"the claim was refused: {answer!r}"
    return answer


def ticket_of(job: Job, *, redelivered: bool = False) -> Ticket:
    return Ticket(job.id, job.attempt, redelivered)


def make_letter(job: Job | None = None, **changes: Any) -> DeadLetter:
    """A dead letter of the job's present attempt."""
    values: dict[str, Any] = {
        "id": growing_id(int(datetime.now(UTC).timestamp() * 1000), next(_numbers)),
        "job_id": job.id if job else None,
        "attempt": job.attempt if job else None,
        "tenant": job.tenant if job else None,
        "kind": job.kind if job else None,
        "reason": DeadReason.REJECTED,
        "error": "NotAnImage",
        "message": "the source is no image",
        "attempts": job.attempt if job else 0,
        "headers": {"x-death": [{"count": 1, "queue": "holdfast.image"}]},
        "body": b"[[]]",
        "died_at": datetime.now(UTC),
    }
    return DeadLetter(**values | changes)
