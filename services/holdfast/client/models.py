"""What the api answers, as frozen models. Fields that a newer api adds are kept, so that nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

ENDED = frozenset({"succeeded", "cancelled", "dead"})
"""The states that a job does not leave by itself."""

Priority = str | int
"""`high`, `default`, `low`, or 0 to 31 (higher first)."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


class Failure(_Answer):
    """Why a job or an attempt failed. `reason` is set when it ended the job."""

    reason: str | None = None
    error: str
    message: str


class ArtifactLink(_Answer):
    """One result file. `size` is in bytes, `sha256` lower-case hex."""

    name: str
    href: str | None = None
    media_type: str
    size: int
    sha256: str


class Links(_Answer):
    """Where the parts of a job are."""

    artifacts: tuple[ArtifactLink, ...] = ()


class Job(_Answer):
    """A job as it stood when the api answered. Times are aware datetimes, durations are seconds."""

    id: str
    kind: str
    queue: str | None = None
    state: str
    priority: int
    attempt: int
    max_attempts: int | None = None
    idempotency_key: str | None = None
    callback_url: str | None = None
    parked_by: str | None = None
    ordering_key: str | None = None
    tags: tuple[str, ...] = ()
    created_at: datetime
    due_at: datetime | None = None
    deadline: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    queue_wait_seconds: float | None = None
    run_seconds: float | None = None
    result: Mapping[str, Any] | None = None
    failure: Failure | None = None
    links: Links = Links()
    replayed: bool = Field(default=False, exclude_if=lambda replayed: not replayed)
    """Whether a submit was answered with the job of an earlier one with the same key."""

    @property
    def ended(self) -> bool:
        """Whether the job is over."""
        return self.state in ENDED

    @property
    def succeeded(self) -> bool:
        """Whether the job did what it was asked for."""
        return self.state == "succeeded"

    @property
    def artifacts(self) -> tuple[ArtifactLink, ...]:
        """The result files."""
        return self.links.artifacts


class JobRequest(BaseModel):
    """One job of a batch; `delay` is in seconds, and excludes `run_at`. The secret signs the callback."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    payload: Mapping[str, Any]
    idempotency_key: str | None = None
    priority: Priority | None = None
    delay: float | None = None
    run_at: datetime | None = None
    deadline: datetime | None = None
    tags: tuple[str, ...] = ()
    callback_url: str | None = None
    callback_secret: str | None = Field(default=None, repr=False)

    def body(self) -> dict[str, Any]:
        """The JSON of the request: only what was asked for, so that the same request is the same bytes."""
        body = self.model_dump(mode="json", exclude_none=True, exclude={"payload", "tags"})
        body["payload"] = dict(self.payload)
        if self.tags:
            body["tags"] = list(self.tags)
        return body


class Attempt(_Answer):
    """One attempt of a job; `deliveries` counts how often the broker handed it out."""

    number: int
    state: str
    worker: str | None = None
    deliveries: int = 1
    parked: int = 0
    """How often in a row the job was parked; one attempt stands for all of them."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failure: Failure | None = None
    detail: Mapping[str, Any] | None = None


class Upload(_Answer):
    """A stored source; name its `id` as `{"upload": id}` in a payload."""

    id: str
    size: int
    sha256: str
    media_type: str


class Kind(_Answer):
    """A kind of job that the api accepts; `payload_schema` is the JSON Schema of its payload."""

    kind: str
    queue: str
    payload_schema: Mapping[str, Any] = Field(default_factory=dict, alias="schema")
    max_attempts: int | None = None
    time_limit_seconds: float | None = None


class DeadLetter(_Answer):
    """A dead letter as archived: what died, why, and the message as it was."""

    id: str
    job_id: str | None = None
    tenant: str | None = None
    kind: str | None = None
    reason: str
    error: str
    message: str
    attempts: int
    fingerprint: str | None = None
    died_at: datetime
    replayed_at: datetime | None = None
    dropped_at: datetime | None = None
    dropped_by: str | None = None
    drop_reason: str | None = None
    headers: Mapping[str, Any] = Field(default_factory=dict)
    body: str | None = None


class DeadLetterGroup(_Answer):
    """Equal failures: the same but for names and numbers, in the words of the newest."""

    fingerprint: str
    kind: str | None = None
    reason: str
    error: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime


class DeadLetterFilter(BaseModel):
    """Which dead letters. `error` is a part of the error's name or message, `fingerprint` a group's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str | None = None
    reason: str | None = None
    error: str | None = None
    fingerprint: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def body(self) -> dict[str, Any]:
        """The filter as JSON, without what it leaves open."""
        return self.model_dump(mode="json", exclude_none=True)


class BulkReplay(_Answer):
    """What a bulk replay matched (letters whose job is still dead) and did; others replayed the skipped ones first."""

    matched: int
    replayed: int = 0
    skipped: int = 0
    dry_run: bool = False


class Actor(_Answer):
    """Who acted, and in which role. `key_id` is None on the server's command line."""

    tenant: str
    name: str
    role: str
    key_id: str | None = None
    address: str | None = None


class AuditEntry(_Answer):
    """One action of an operator. An `outcome` that stays `begun` says that it may have happened."""

    id: str
    at: datetime
    actor: Actor
    action: str
    target: str
    reason: str | None = None
    details: Mapping[str, Any] = Field(default_factory=dict)
    outcome: str
    request_id: str | None = None


class Override(_Answer):
    """What an operator said of a downstream."""

    state: str
    until: datetime
    reason: str
    by: str
    at: datetime


class Breaker(_Answer):
    """One downstream as the whole pool sees it; rates are shares of the calls of the rolling window."""

    name: str
    state: str
    since: datetime | None = None
    calls: int = 0
    failures: int = 0
    slow: int = 0
    failure_rate: float = 0.0
    slow_rate: float = 0.0
    open_until: datetime | None = None
    trips: int = 0
    override: Override | None = None
    flagged: str | None = None
    limit: int | None = None
    in_flight: int = 0
    per_second: float | None = None
    paused_until: datetime | None = None


class ProblemDetail(_Answer):
    """One field that is wrong, by its JSON pointer (RFC 6901)."""

    pointer: str = ""
    detail: str = ""


class Problem(_Answer):
    """A problem document (RFC 9457)."""

    type: str = "about:blank"
    title: str = "Error"
    status: int = 0
    detail: str | None = None
    instance: str | None = None
    errors: tuple[ProblemDetail, ...] = ()
    retry_after: float | None = None
    """Seconds, as in the Retry-After header; one job of a batch has no headers."""

    @property
    def text(self) -> str:
        """All of it in one line."""
        fields = "; ".join(f"{error.pointer or '/'}: {error.detail}" for error in self.errors)
        return ": ".join(filter(None, [f"{self.status} {self.title}", self.detail, fields]))


class Outcome(_Answer):
    """What became of one job of a batch: the job, or the problem that kept it out."""

    status: int
    job: Job | None = None
    problem: Problem | None = None


class Dependency(_Answer):
    """Whether one dependency answers."""

    ok: bool
    error: str | None = None


class Readiness(_Answer):
    """What `/readyz` says."""

    status: str
    dependencies: Mapping[str, Dependency] = Field(default_factory=dict)


# The envelopes of lists. A caller of the client never sees them.


class Page(BaseModel):
    """One page of a list; `next_cursor` asks for the next."""

    next_cursor: str | None = None

    def items(self) -> Sequence[Any]:
        """What is on the page."""
        raise NotImplementedError


class JobPage(Page):
    """`GET /v1/jobs`."""

    jobs: tuple[Job, ...]

    def items(self) -> Sequence[Job]:
        """The jobs."""
        return self.jobs


class LetterPage(Page):
    """`GET /v1/dead-letters`."""

    dead_letters: tuple[DeadLetter, ...]

    def items(self) -> Sequence[DeadLetter]:
        """The letters."""
        return self.dead_letters


class AuditPage(Page):
    """`GET /v1/audit`."""

    entries: tuple[AuditEntry, ...]

    def items(self) -> Sequence[AuditEntry]:
        """The entries."""
        return self.entries


class AttemptList(BaseModel):
    """`GET /v1/jobs/{id}/attempts`."""

    attempts: tuple[Attempt, ...]


class GroupList(BaseModel):
    """`GET /v1/dead-letters/groups`."""

    groups: tuple[DeadLetterGroup, ...]


class BreakerList(BaseModel):
    """`GET /v1/breakers`."""

    breakers: tuple[Breaker, ...]


class KindList(BaseModel):
    """`GET /v1/kinds`."""

    kinds: tuple[Kind, ...]


class OutcomeList(BaseModel):
    """`POST /v1/jobs/batch`."""

    outcomes: tuple[Outcome, ...]
