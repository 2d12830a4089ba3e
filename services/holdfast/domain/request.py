"""What a client asks for, before it is a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from holdfast.domain.idempotency import differences, fingerprint
from holdfast.domain.job import Job, JobState


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A request whose envelope is well-formed; its payload has not been looked at yet."""

    tenant: str
    kind: str
    payload: Mapping[str, Any]
    priority: int
    key: str | None = None
    delay: timedelta | None = None
    run_at: datetime | None = None
    deadline: datetime | None = None
    tags: tuple[str, ...] = ()
    callback_url: str | None = None
    callback_secret: str | None = None
    traceparent: str | None = None

    def fingerprint(self) -> bytes:
        """Covers what the client chose, not what it left out: a field of a later version voids no key."""
        chosen = {**self._lasting(), "delay": self.delay and self.delay.total_seconds(), "run_at": self.run_at}
        return fingerprint({name: value for name, value in chosen.items() if value is not None})

    def due_at(self, now: datetime) -> datetime | None:
        """When the job is to be queued, if the client said so; `now` is when the request is accepted."""
        return now + self.delay if self.delay else self.run_at

    def job(self, job_id: UUID, queue: str, now: datetime, lane: str | None = None) -> Job:
        """The job that this request becomes when it is accepted at `now`; one of a lane begins behind it."""
        due_at = self.due_at(now)
        later = due_at is not None and due_at > now
        return Job(
            id=job_id,
            tenant=self.tenant,
            kind=self.kind,
            queue=queue,
            state=JobState.BLOCKED if lane else JobState.SCHEDULED if later else JobState.QUEUED,
            priority=self.priority,
            payload=self.payload,
            idempotency_key=self.key or str(job_id),
            fingerprint=self.fingerprint(),
            attempt=1,
            created_at=now,
            due_at=due_at if later else None,
            deadline=self.deadline,
            tags=self.tags,
            callback_url=self.callback_url,
            callback_secret=self.callback_secret,
            traceparent=self.traceparent,
            lane=lane,
        )

    def differs_from(self, job: Job) -> list[str]:
        """JSON pointers of what this request has different from the one that became `job`."""
        first = JobRequest(
            job.tenant,
            job.kind,
            job.payload,
            job.priority,
            deadline=job.deadline,
            tags=job.tags,
            callback_url=job.callback_url,
            callback_secret=job.callback_secret,
        )._lasting()
        return list(differences(first, self._lasting())) or ["/delay", "/run_at"]

    def _lasting(self) -> dict[str, Any]:
        """The part of the request that its job keeps."""
        return {
            "kind": self.kind,
            "payload": self.payload,
            "priority": self.priority,
            "deadline": self.deadline and self.deadline.isoformat(),
            "tags": list(self.tags),
            "callback_url": self.callback_url,
            "callback_secret": self.callback_secret,
        }
