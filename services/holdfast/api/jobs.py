"""Submit, read, list and cancel jobs; read their attempts and artifacts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from holdfast.api import audit, browsers, problems, rate_limit, schemas
from holdfast.api.auth import requires
from holdfast.api.rate_limit import ChargedOne
from holdfast.api.state import State, StateDep, answer, cursor_id, next_cursor
from holdfast.api.strict import StrictRoute
from holdfast.domain import signed_url
from holdfast.domain.audit import AuditAction
from holdfast.domain.errors import HoldfastError, InvalidField, NotCancellable, NotFound
from holdfast.domain.idempotency import MAX_KEY_LENGTH, valid_key
from holdfast.domain.job import ENDED, Job, JobState
from holdfast.domain.request import JobRequest
from holdfast.domain.tenancy import Caller, Role
from holdfast.engine.results import artifacts_of
from holdfast.engine.submit import Submission
from holdfast.ports.artifacts import Artifact
from holdfast.ports.ledger import JobQuery
from holdfast.telemetry import metrics, tracing
from holdfast.telemetry.logs import of_job

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=StrictRoute)

LONGEST_WAIT = 30.0
"""Seconds that a read may wait for a job to end."""
LOOK_EVERY = 0.1
"""Seconds between two looks of a waiting read."""
AT_ONCE = 250
"""Jobs of a batch that share statements and confirms; while they are prepared, nobody else has a turn."""
REPLAYED = {"Idempotent-Replayed": "true"}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    422: {"description": "A problem document that names the field", "content": {problems.MEDIA_TYPE: {}}},
    429: {"description": "More than the rate limit lets through; `RateLimit` and `Retry-After` say when to go on"},
    503: {"description": "A dependency is away, or no more is taken now; `Retry-After` says when to try again"},
}

Submitter = Annotated[Caller, Depends(requires(Role.SUBMIT))]
Canceller = Annotated[Caller, Depends(requires(Role.SUBMIT, Role.OPERATE))]
Reader = Annotated[Caller, Depends(requires(Role.READ))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description=f"Up to {MAX_KEY_LENGTH} visible ASCII characters. The same key and request returns the same job.",
    ),
]


@router.post(
    "",
    status_code=202,
    response_model=schemas.JobOut,
    responses=PROBLEMS | {409: {"description": "A request with this key is still in flight"}},
)
async def submit(
    body: schemas.JobIn,
    state: StateDep,
    caller: Submitter,
    charged: ChargedOne,
    key: Key = None,
) -> Response:
    """Accept a job. 202 means that it is committed: it will end as succeeded, cancelled or dead, and never vanish."""
    request = body.request(caller.tenant, key, tracing.here())
    if error := _wrong_key(request, "header:Idempotency-Key"):
        raise error
    submission = await state.runtime.submit.submit(request)
    headers = {"Location": f"/v1/jobs/{submission.job.id}"} | (REPLAYED if submission.replayed else {})
    return answer(state.show(submission.job), 202, headers | rate_limit.headers(charged))


@router.post("/batch", status_code=207, response_model=schemas.BatchOut, responses=PROBLEMS)
async def submit_batch(body: schemas.BatchIn, state: StateDep, caller: Submitter) -> Response:
    """Accept up to 1,000 jobs. Each has an outcome of its own; a refused one does not hold up the others.

    Each job counts against the rate limit: when it lets some of them through, these are the first ones.
    """
    charged = await rate_limit.charge(state, caller, len(body.jobs))
    requests = [job.request(caller.tenant, job.idempotency_key, tracing.here()) for job in body.jobs[: charged.granted]]
    outcomes = await _outcomes(state, requests)
    if charged.granted < charged.cost:
        outcomes += [_refused(charged.refusal())] * (charged.cost - charged.granted)
    return answer({"outcomes": outcomes}, 207, rate_limit.headers(charged))


@router.get("", response_model=schemas.JobsOut)
async def list_jobs(
    state: StateDep,
    caller: Reader,
    job_state: Annotated[JobState | None, Query(alias="state")] = None,
    kind: str | None = None,
    tag: str | None = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """List jobs, newest first."""
    query = JobQuery(caller.tenant, job_state, kind, tag, cursor_id(cursor), limit)
    found = await state.runtime.core.ledger.jobs(query)
    ids = [job.id for job in found]
    return answer({"jobs": [state.show(job) for job in found], "next_cursor": next_cursor(ids, limit)})


@router.get("/{job_id}", response_model=schemas.JobOut)
async def read(
    job_id: UUID,
    state: StateDep,
    caller: Reader,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait for the job to end.")] = 0,
) -> Response:
    """Read a job; with `wait`, answer as soon as it has ended, or as it stands after that time."""
    end = time.monotonic() + wait
    job = await _job(state, caller, job_id)
    while job.state not in ENDED and time.monotonic() < end:
        await asyncio.sleep(LOOK_EVERY)
        job = await _job(state, caller, job_id)
    return answer(state.show(job))


@router.get("/{job_id}/attempts", response_model=schemas.AttemptsOut)
async def attempts(job_id: UUID, state: StateDep, caller: Reader) -> Response:
    """Read the attempts of a job, oldest first, each with its failure and what its handler kept of it."""
    await _job(state, caller, job_id)
    found = await state.runtime.core.ledger.attempts(job_id)
    return answer({"attempts": list(map(schemas.attempt_out, found))})


@router.get("/{job_id}/artifacts/{name}", response_class=StreamingResponse)
async def artifact(
    job_id: UUID,
    name: str,
    request: Request,
    state: StateDep,
    expires: str | None = None,
    signature: str | None = None,
) -> Response:
    """Download a file that the job made: with a key, or by a signed link of the job's answer."""
    if expires is not None and signature is not None:
        job = await _job_by_link(state, request, job_id, expires, signature)
    else:
        job = await _job(state, await requires(Role.READ)(request), job_id)
    found = _artifact(job, name)
    store = state.runtime.core.artifacts
    url = await store.url(found.key, found.media_type, _lifetime(state))
    if url is not None:
        return RedirectResponse(url, 307)
    headers = {
        "Content-Length": str(found.size),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "Content-Security-Policy": browsers.FILE,
        "ETag": f'"{found.sha256}"',
        "Cache-Control": "private, immutable, max-age=3600",
    }
    return StreamingResponse(store.stream(found.key), media_type=found.media_type, headers=headers)


@router.post("/{job_id}/cancel", response_model=schemas.JobOut, responses={409: {"description": "Ended already"}})
async def cancel(job_id: UUID, state: StateDep, caller: Canceller, body: schemas.CancelIn | None = None) -> Response:
    """Cancel a job that has not ended. A running attempt is ended within seconds; its effect may have happened.

    With the role `operate` it may be any tenant's, and goes to the audit trail.
    """
    tenant: str | None = caller.tenant
    entry = None
    if Role.OPERATE in caller.roles:
        tenant = None
        entry = audit.entry(state, caller, AuditAction.JOB_CANCEL, job_id, body.reason if body else None)
    before = await state.runtime.core.ledger.any_job(job_id)
    job = await state.runtime.core.ledger.cancel(tenant, job_id, entry)
    if job is None:
        raise _no_job(job_id)
    if job.state is not JobState.CANCELLED:
        raise NotCancellable(job.id, job.state)
    if before is not None and before.state not in ENDED:
        metrics.ENDED.of(job.kind, JobState.CANCELLED).inc()
        log.info("job_cancelled", **of_job(job))
    await state.runtime.core.dispatch.advance(job.lane)
    return answer(state.show(job))


async def _outcomes(state: State, requests: Sequence[JobRequest]) -> list[dict[str, Any]]:
    """Submit some at a time, so that a large batch does not make everybody else wait."""
    outcomes = list[dict[str, Any]]()
    for first in range(0, len(requests), AT_ONCE):
        outcomes += await _outcomes_together(state, requests[first : first + AT_ONCE])
    return outcomes


async def _outcomes_together(state: State, requests: Sequence[JobRequest]) -> Iterator[dict[str, Any]]:
    wrong = list(map(_wrong_key, requests))
    submitted = iter(
        await state.runtime.submit.submit_all(
            [request for request, error in zip(requests, wrong, strict=True) if error is None]
        )
    )
    return (_outcome(state, error or next(submitted)) for error in wrong)


def _outcome(state: State, outcome: Submission | Exception) -> dict[str, Any]:
    if isinstance(outcome, Exception):
        return _refused(outcome)
    return {"status": 202, "replayed": outcome.replayed, "job": state.show(outcome.job)}


def _refused(error: Exception) -> dict[str, Any]:
    """The outcome of a job that was not accepted."""
    if not isinstance(error, HoldfastError):
        log.error("request_failed", exc_info=error)
    problem = problems.of(error)
    return {"status": problem.status, "problem": problem.document}


def _wrong_key(request: JobRequest, pointer: str = "/idempotency_key") -> InvalidField | None:
    if request.key is None or valid_key(request.key):
        return None
    advice = f"must be 1 to {MAX_KEY_LENGTH} visible ASCII characters without spaces, such as a UUID"
    return InvalidField([(pointer, advice)])


async def _job(state: State, caller: Caller, job_id: UUID) -> Job:
    job = await state.runtime.core.ledger.job(caller.tenant, job_id)
    if job is None:
        raise _no_job(job_id)
    return job


async def _job_by_link(state: State, request: Request, job_id: UUID, expires: str, signature: str) -> Job:
    """The job of a signed link: the signature stands in for the key."""
    core = state.runtime.core
    path = request.scope["raw_path"].decode("ascii").partition("?")[0]
    if not signed_url.verify(path, expires, signature, state.signing_key(), core.clock.now()):
        detail = "the download link is not genuine or has expired; read the job again for a new one"
        raise problems.Problem(403, "link-expired", "Link expired", detail)
    job = await core.ledger.any_job(job_id)
    if job is None:
        raise _no_job(job_id)
    return job


def _artifact(job: Job, name: str) -> Artifact:
    for found in artifacts_of(job.result):
        if found.name == name:
            return found
    raise NotFound(f"job {job.id} ({job.state}) has no artifact {name!r}; its answer lists those it has")


def _lifetime(state: State) -> timedelta:
    return timedelta(seconds=state.runtime.core.settings.artifact_url_lifetime)


def _no_job(job_id: UUID) -> NotFound:
    return NotFound(f"there is no job {job_id}; `GET /v1/jobs` lists yours")
