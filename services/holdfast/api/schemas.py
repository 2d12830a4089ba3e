"""The JSON of requests and answers, with the examples that the API docs show.

Answers are plain dictionaries built here and written by orjson: the models describe them, and are checked against
them in the tests, not on every request.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    StringConstraints,
    model_validator,
)
from pydantic.config import JsonDict

from holdfast.domain.attempt import Attempt
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.domain.job import MAX_PRIORITY, MIN_PRIORITY, PRIORITIES, Job, JobState
from holdfast.domain.request import JobRequest
from holdfast.domain.topology import WORK
from holdfast.engine.results import artifacts_of
from holdfast.ports.handler import Handler

# Lengths stand outside of the patterns: counted repeats of `\w` would take seven megabytes, compiled.
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[\w.:/@-]+$")]
Priority = Literal["high", "default", "low"] | Annotated[int, Field(ge=MIN_PRIORITY, le=MAX_PRIORITY, strict=True)]
"""A name, or a number of RabbitMQ's own scale."""
WEBHOOK_SECRET = r"^whsec_[A-Za-z0-9+/]{32,86}={0,2}$"  # noqa: S105 - a pattern
"""A Standard Webhooks secret: base64 of 24 to 64 bytes."""
LONGEST_DELAY = 366 * 24 * 3600.0
"""Seconds."""
MAX_BATCH = 1_000


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=500), Field(description="Why; kept in the audit trail.")
]
"""What an operator says of an action."""

IMAGE_EXAMPLE: JsonDict = {
    "kind": "image.transform",
    "payload": {
        "source": {"url": "https://images.example.com/harbour.jpg"},
        "variants": [{"name": "thumbnail", "width": 400, "format": "webp", "quality": 80}],
    },
    "priority": "high",
    "tags": ["gallery"],
}
PDF_EXAMPLE: JsonDict = {
    "kind": "pdf.render",
    "payload": {"template": "<h1>Invoice {{ number }}</h1>", "data": {"number": 42}, "name": "invoice.pdf"},
}
ENDPOINT_EXAMPLE: JsonDict = {
    "kind": "webhook.dispatch",
    "payload": {
        "endpoint_id": "0190c2f0-0000-7000-8000-000000000001",
        "event_type": "order.paid",
        "body": {"order": 42},
        "ordering_key": "order-42",
    },
}
WEBHOOK_EXAMPLE: JsonDict = {
    "kind": "webhook.dispatch",
    "payload": {
        "url": "https://hooks.example.com/orders",
        "event_type": "order.paid",
        "body": {"order": 42},
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    },
    "delay": 30,
}


class JobIn(BaseModel):
    """A job to be done."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [IMAGE_EXAMPLE, PDF_EXAMPLE, WEBHOOK_EXAMPLE, ENDPOINT_EXAMPLE]}
    )

    kind: Annotated[str, Field(max_length=100, description="Which handler runs it; `GET /v1/kinds` lists them.")]
    payload: Annotated[dict[str, Any], Field(description="What the handler needs; checked by the schema of the kind.")]
    priority: Annotated[
        Priority,
        Field(description="A name, or 0 to 31; higher runs first. high, default, low are 24, 12, 4."),
    ] = "default"
    delay: Annotated[float | None, Field(ge=0, le=LONGEST_DELAY, description="Seconds before it is queued.")] = None
    run_at: Annotated[Instant | None, Field(description="When it is queued (RFC 3339); not with delay.")] = None
    deadline: Annotated[
        Instant | None, Field(description="A job that has not started by then is dead with the reason `expired`.")
    ] = None
    tags: Annotated[list[Tag], Field(max_length=20, description="Labels to list by.")] = []
    callback_url: Annotated[
        HttpUrl | None, Field(description="Gets a webhook `job.succeeded` or `job.dead` when the job ends.")
    ] = None
    callback_secret: Annotated[
        str | None,
        StringConstraints(pattern=WEBHOOK_SECRET),
        Field(description="Signs the callback (Standard Webhooks)."),
    ] = None

    @model_validator(mode="after")
    def _one_start(self) -> JobIn:
        if self.delay is not None and self.run_at is not None:
            raise ValueError("give delay or run_at, not both")
        if self.callback_secret is not None and self.callback_url is None:
            raise ValueError("callback_secret signs a callback, but there is no callback_url")
        return self

    def request(self, tenant: str, key: str | None, traceparent: str | None) -> JobRequest:
        """As the engine takes it."""
        return JobRequest(
            tenant=tenant,
            kind=self.kind,
            payload=self.payload,
            priority=priority_number(self.priority),
            key=key,
            delay=timedelta(seconds=self.delay) if self.delay is not None else None,
            run_at=self.run_at,
            deadline=self.deadline,
            tags=tuple(self.tags),
            callback_url=str(self.callback_url) if self.callback_url else None,
            callback_secret=self.callback_secret,
            traceparent=traceparent,
        )


class BatchJobIn(JobIn):
    """A job of a batch, with a key of its own."""

    idempotency_key: Annotated[str | None, Field(description="As the header of a single submit.")] = None


class BatchIn(BaseModel):
    """Up to 1,000 jobs; each has an outcome of its own."""

    model_config = ConfigDict(extra="forbid")

    jobs: Annotated[list[BatchJobIn], Field(min_length=1, max_length=MAX_BATCH)]


class CancelIn(BaseModel):
    """Why a job is cancelled."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason | None = None


class FailureOut(BaseModel):
    """Why an attempt failed or a job died."""

    reason: DeadReason | None
    error: str
    message: str


class ArtifactOut(BaseModel):
    """A file that the job made. `href` downloads it without a key until the link expires."""

    name: str
    href: str
    media_type: str
    size: int
    sha256: str


class LinksOut(BaseModel):
    """Where to go from a job."""

    self: str
    attempts: str
    artifacts: list[ArtifactOut]


class JobOut(BaseModel):
    """A job as it stands. The payload is not repeated."""

    id: UUID
    kind: str
    queue: str
    state: JobState
    priority: int
    attempt: int
    max_attempts: int
    idempotency_key: str
    callback_url: str | None
    parked_by: Annotated[UUID | None, Field(description="The endpoint that it waits for, until it is enabled.")]
    ordering_key: Annotated[str | None, Field(description="It runs after the earlier jobs of its key.")]
    tags: list[str]
    created_at: datetime
    due_at: datetime | None
    deadline: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    queue_wait_seconds: float | None
    run_seconds: float | None
    result: dict[str, Any] | None
    failure: FailureOut | None
    links: LinksOut


class JobsOut(BaseModel):
    """A page of jobs, newest first; `next_cursor` is null on the last one."""

    jobs: list[JobOut]
    next_cursor: str | None


class OutcomeOut(BaseModel):
    """What became of one job of a batch: `job` for 202, `problem` otherwise."""

    status: int
    replayed: bool | None = None
    job: JobOut | None = None
    problem: dict[str, Any] | None = None


class BatchOut(BaseModel):
    """The outcomes in the order of the request."""

    outcomes: list[OutcomeOut]


class AttemptOut(BaseModel):
    """One attempt. `deliveries` above 1 means that a worker died in it and another took over.

    `parked` counts how often in a row the job was parked: one attempt stands for all of them.
    """

    number: int
    state: str
    worker: str
    deliveries: int
    parked: int
    started_at: datetime
    finished_at: datetime | None
    failure: FailureOut | None
    detail: dict[str, Any] | None


class AttemptsOut(BaseModel):
    """The attempts, oldest first."""

    attempts: list[AttemptOut]


class UploadOut(BaseModel):
    """A source to be named in payloads as `{"upload": id}`."""

    id: UUID
    size: int
    sha256: str
    media_type: str


class KindOut(BaseModel):
    """A kind of job."""

    kind: str
    queue: Literal[WORK]  # type: ignore[valid-type]
    max_attempts: int
    time_limit_seconds: float
    schema_: Annotated[dict[str, Any], Field(alias="schema", description="JSON Schema of the payload.")]


class KindsOut(BaseModel):
    """Every kind that can be submitted."""

    kinds: list[KindOut]


def priority_number(priority: Literal["high", "default", "low"] | int) -> int:
    """The number behind a name."""
    return priority if isinstance(priority, int) else PRIORITIES[priority]


def job_out(job: Job, max_attempts: int, links: Mapping[str, str]) -> dict[str, Any]:
    """A job's answer; `links` has the signed download path of each artifact by name."""
    result = dict(job.result) if job.result is not None else None
    if result is not None:
        result.pop("artifacts", None)
    here = f"/v1/jobs/{job.id}"
    artifacts = [
        {"name": a.name, "href": links[a.name], "media_type": a.media_type, "size": a.size, "sha256": a.sha256}
        for a in artifacts_of(job.result)
    ]
    return {
        "id": job.id,
        "kind": job.kind,
        "queue": job.queue,
        "state": job.state,
        "priority": job.priority,
        "attempt": job.attempt,
        "max_attempts": max_attempts + job.spent_before,
        "idempotency_key": job.idempotency_key,
        "callback_url": job.callback_url,
        "parked_by": job.parked_by,
        "ordering_key": job.payload.get("ordering_key") if job.lane else None,
        "tags": list(job.tags),
        "created_at": job.created_at,
        "due_at": job.due_at,
        "deadline": job.deadline,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "queue_wait_seconds": _seconds(job.created_at, job.started_at),
        "run_seconds": _seconds(job.started_at, job.finished_at),
        "result": result,
        "failure": failure_out(job.failure),
        "links": {"self": here, "attempts": f"{here}/attempts", "artifacts": artifacts},
    }


def attempt_out(attempt: Attempt) -> dict[str, Any]:
    """An attempt's answer."""
    return {
        "number": attempt.number,
        "state": attempt.state,
        "worker": attempt.worker,
        "deliveries": attempt.deliveries,
        "parked": attempt.parked,
        "started_at": attempt.started_at,
        "finished_at": attempt.finished_at,
        "failure": failure_out(attempt.failure),
        "detail": attempt.detail,
    }


def failure_out(failure: Failure | None) -> dict[str, Any] | None:
    """A failure without its traceback, which is for operators only."""
    if failure is None:
        return None
    return {"reason": failure.reason, "error": failure.error, "message": failure.message}


def kind_out(handler: Handler) -> dict[str, Any]:
    """A kind's answer."""
    return {
        "kind": handler.kind,
        "queue": handler.queue,
        "max_attempts": handler.policy.max_attempts,
        "time_limit_seconds": handler.time_limit.total_seconds(),
        "schema": handler.Payload.model_json_schema(),
    }


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else max(0.0, (end - start).total_seconds())
