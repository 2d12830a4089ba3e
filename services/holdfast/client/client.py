"""The client: one method for each thing that the api does.

Invariant: a submit is one job, however often its request is sent. It always carries an Idempotency-Key (a new UUID
when the caller gives none) and every repetition carries the same one. Give a key of your own, made from what the
job is about (`invoice-4711`), and a crash of the *caller* is covered too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

from holdfast.client.endpoints import Endpoints
from holdfast.client.errors import CorruptDownload, WaitTimeout
from holdfast.client.models import (
    Attempt,
    AttemptList,
    Job,
    JobPage,
    JobRequest,
    Kind,
    KindList,
    Outcome,
    OutcomeList,
    Priority,
    Readiness,
    Upload,
)
from holdfast.client.operations import part
from holdfast.client.patience import Patience
from holdfast.client.wire import IN_FLIGHT, OVERLOADED, Repeat, Wire

LONGEST_POLL = 30.0
"""The api holds a `?wait=` no longer than this (seconds)."""
SHORTEST_POLL = 0.25
"""Least time between two polls, should something on the way answer long polls at once."""
BATCH = 1000
"""Most jobs in one batch."""


class Holdfast(Endpoints):
    """A connection to the api at `url`. Use it as a context manager, or call `close`. Not for sharing across threads
    while it is being closed; otherwise thread-safe, as httpx is.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        api_key: str | None = None,
        *,
        patience: Patience | None = None,
        wire: Wire | None = None,
    ) -> None:
        self._wire = wire or Wire(url, api_key, patience or Patience())

    def __enter__(self) -> Self:
        """Return the client itself; leaving the block closes it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close the connections."""
        self.close()

    @property
    def url(self) -> str:
        """The address of the api, without a slash at the end."""
        return self._wire.url

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    # Jobs

    def submit(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        priority: Priority | None = None,
        delay: float | None = None,
        run_at: datetime | None = None,
        deadline: datetime | None = None,
        tags: Sequence[str] = (),
        callback_url: str | None = None,
        callback_secret: str | None = None,
    ) -> Job:
        """Submit one job, once. `delay` is in seconds. `job.replayed` tells that the key had this job already.

        `callback_url` gets a webhook `job.succeeded` or `job.dead` at the end, signed with `callback_secret`.
        Raises NotNow when the api takes no more for longer than the patience lasts (`retry_after` says for how long),
        ProblemError when it refuses it (422: the payload is wrong, or the key belongs to another
        request) and Unreachable when no answer came; then the job may be there, and the same key finds out.
        """
        request = JobRequest(
            kind=kind,
            payload=payload,
            priority=priority,
            delay=delay,
            run_at=run_at,
            deadline=deadline,
            tags=tuple(tags),
            callback_url=callback_url,
            callback_secret=callback_secret,
        )
        headers = {"Idempotency-Key": key or str(uuid4())}
        response = self._wire.call("POST", "/v1/jobs", repeat=Repeat.KEYED, headers=headers, json=request.body())
        replayed = response.headers.get("Idempotent-Replayed", "").lower() == "true"
        return self._wire.parse(Job, response, replayed=replayed)

    def batch(self, requests: Iterable[JobRequest]) -> list[Outcome]:
        """Submit up to 1,000 jobs; return what became of each, in order. Jobs without a key get a new UUID.

        Jobs that the api was too busy for, or that a rate limit kept out, are sent again with their keys when it said
        they may be, until the patience ends.
        """
        jobs = [
            request if request.idempotency_key else request.model_copy(update={"idempotency_key": str(uuid4())})
            for request in requests
        ]
        if len(jobs) > BATCH:
            raise ValueError(f"a batch takes at most {BATCH} jobs, not {len(jobs)}: send several")
        outcomes: dict[int, Outcome] = {}
        patience, until, rounds = self._wire.patience, self._wire.clock() + self._wire.patience.total, 0
        left = list(range(len(jobs)))
        while left:
            sent = self._send_batch([jobs[index] for index in left], max(until - self._wire.clock(), 0.0))
            outcomes.update(zip(left, sent, strict=True))
            left = [index for index in left if outcomes[index].status in OVERLOADED | {IN_FLIGHT}]
            rounds += 1
            problems = [outcomes[index].problem for index in left]
            asked = [problem.retry_after for problem in problems if problem and problem.retry_after]
            pause = patience.pause(rounds, 1.0, max(asked, default=None))
            if self._wire.clock() + pause >= until:
                break
            if left:
                self._wire.sleep(pause)
        return [outcomes[index] for index in range(len(jobs))]

    def _send_batch(self, jobs: Sequence[JobRequest], within: float) -> tuple[Outcome, ...]:
        body = {"jobs": [job.body() for job in jobs]}
        response = self._wire.call("POST", "/v1/jobs/batch", repeat=Repeat.KEYED, within=within, json=body)
        return self._wire.parse(OutcomeList, response).outcomes

    def get(self, job_id: str) -> Job:
        """The job as it stands."""
        return self._wire.parse(Job, self._wire.call("GET", f"/v1/jobs/{part(job_id)}"))

    def wait(self, job_id: str, timeout: float = 300.0) -> Job:
        """Return the job when it has ended, whichever way; raise WaitTimeout after `timeout` seconds."""
        until = self._wire.clock() + timeout
        while True:
            asked = self._wire.clock()
            poll = min(LONGEST_POLL, max(until - asked, 0.0))
            job = self._wire.parse(Job, self._poll(job_id, poll))
            if job.ended:
                return job
            now = self._wire.clock()
            if now >= until:
                raise WaitTimeout(job, timeout)
            if now - asked < SHORTEST_POLL:
                self._wire.sleep(min(SHORTEST_POLL, until - now))

    def _poll(self, job_id: str, seconds: float) -> httpx.Response:
        patience = self._wire.patience
        return self._wire.call(
            "GET",
            f"/v1/jobs/{part(job_id)}",
            params={"wait": f"{seconds:.3f}".rstrip("0").rstrip(".")} if seconds else {},
            within=seconds + patience.total,
            answer_within=seconds + patience.per_request,
        )

    def jobs(
        self,
        *,
        state: str | None = None,
        kind: str | None = None,
        tag: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """All jobs that fit, newest first, fetched page by page as they are asked for; at most `limit`."""
        yield from self._pages("/v1/jobs", {"state": state, "kind": kind, "tag": tag}, JobPage, limit)

    def attempts(self, job_id: str) -> tuple[Attempt, ...]:
        """The attempts of a job, oldest first."""
        response = self._wire.call("GET", f"/v1/jobs/{part(job_id)}/attempts")
        return self._wire.parse(AttemptList, response).attempts

    def cancel(self, job_id: str, *, reason: str | None = None) -> Job:
        """Cancel a job that has not ended; a cancelled one stays so. ProblemError 409 when it succeeded or died.

        A running attempt is ended within seconds; its effect may have happened. `reason` is kept in the audit trail
        when the key has the role `operate`.
        """
        body = {"reason": reason} if reason else None
        return self._wire.parse(Job, self._wire.call("POST", f"/v1/jobs/{part(job_id)}/cancel", json=body))

    def download(self, job: Job | str, name: str) -> bytes:
        """The bytes of an artifact. Given a Job, they are checked against the size and digest that it lists."""
        job_id = job.id if isinstance(job, Job) else job
        path = f"/v1/jobs/{part(job_id)}/artifacts/{part(name)}"
        data = self._wire.call("GET", path, follow_redirects=True, headers={"Accept": "*/*"}).content
        listed = next((link for link in job.artifacts if link.name == name), None) if isinstance(job, Job) else None
        if listed and (len(data), hashlib.sha256(data).hexdigest()) != (listed.size, listed.sha256):
            raise CorruptDownload(
                f"{name} of job {job_id} arrived with other bytes than the job lists; download it again"
            )
        return data

    def upload(self, data: bytes, media_type: str) -> Upload:
        """Store a source for later jobs. A repetition may store it twice, which costs only space."""
        response = self._wire.call(
            "POST", "/v1/uploads", content=data, headers={"Content-Type": media_type}, answer_within=60.0
        )
        return self._wire.parse(Upload, response)

    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of jobs that the api accepts."""
        return self._wire.parse(KindList, self._wire.call("GET", "/v1/kinds")).kinds

    def ready(self) -> Readiness:
        """Whether the api can take jobs, and which dependency keeps it from that."""
        response = self._wire.call("GET", "/readyz", accept=frozenset({503}))
        return self._wire.parse(Readiness, response)
