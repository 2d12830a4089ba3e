"""Rows to domain values and back. JSON goes in as text, made here, and comes out decoded by the driver (orjson)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import orjson

from holdfast.adapters.postgres.database import Row
from holdfast.domain.attempt import Attempt, AttemptState
from holdfast.domain.dead_letter import DeadLetter, DeadReason, Failure
from holdfast.domain.envelope import Envelope
from holdfast.domain.job import Job, JobState
from holdfast.domain.topology import Route

JOB_COLUMNS = (
    "id, tenant, kind, queue, state, priority, payload, idempotency_key, fingerprint, attempt, created_at, due_at, "
    "deadline, started_at, finished_at, result, failure, tags, traceparent, callback_url, callback_secret, "
    "spent_before, lane, parked_by"
)
JOBS_COLUMNS = ", ".join(f"jobs.{column.strip()}" for column in JOB_COLUMNS.split(","))
NEW_JOB_COLUMNS = (
    "id, tenant, kind, queue, state, priority, idempotency_key, fingerprint, created_at, tags, traceparent"
)


def dump(value: Mapping[str, Any] | tuple[str, ...] | None) -> str | None:
    """JSON text, or None for an SQL NULL."""
    return None if value is None else orjson.dumps(value).decode()


def dump_failure(failure: Failure | None) -> str | None:
    """A failure as JSON text."""
    if failure is None:
        return None
    return dump({name: printable(text) if isinstance(text, str) else text for name, text in asdict(failure).items()})


def printable(text: str) -> str:
    """An error's text with what Postgres cannot keep (NUL, lone surrogates) replaced, for it may quote any input."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def to_failure(value: dict[str, Any] | None) -> Failure | None:
    """What `dump_failure` wrote."""
    if value is None:
        return None
    reason = value["reason"]
    return Failure(reason and DeadReason(reason), value["error"], value["message"], value["traceback"])


def dump_new_job(job: Job | None) -> tuple[str | None, str | None]:
    """A job that has not begun: the JSON of a row of NEW_JOB_COLUMNS, and its payload.

    The payload stands apart because Postgres refuses to take JSON apart that has a NUL anywhere in it.
    """
    if job is None:
        return None, None
    record = {
        "id": str(job.id),
        "tenant": job.tenant,
        "kind": job.kind,
        "queue": job.queue,
        "state": job.state,
        "priority": job.priority,
        "idempotency_key": job.idempotency_key,
        "fingerprint": "\\x" + job.fingerprint.hex(),
        "attempt": 1,
        "spent_before": 0,
        "token": 0,
        "created_at": job.created_at,
        "since": job.created_at,
        "tags": job.tags,
        "traceparent": job.traceparent,
    }
    return dump(record), dump(job.payload)


def to_job(row: Row) -> Job:
    """A row of `JOB_COLUMNS`. By their names as keys, which the driver looks up in C: every claim reads one."""
    return Job(
        id=row["id"],
        tenant=row["tenant"],
        kind=row["kind"],
        queue=row["queue"],
        state=JobState(row["state"]),
        priority=row["priority"],
        payload=row["payload"],
        idempotency_key=row["idempotency_key"],
        fingerprint=row["fingerprint"],
        attempt=row["attempt"],
        created_at=row["created_at"],
        due_at=row["due_at"],
        deadline=row["deadline"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        result=row["result"],
        failure=to_failure(row["failure"]),
        tags=tuple(row["tags"]),
        traceparent=row["traceparent"],
        callback_url=row["callback_url"],
        callback_secret=row["callback_secret"],
        spent_before=row["spent_before"],
        lane=row["lane"],
        parked_by=row["parked_by"],
    )


def to_attempt(row: Row) -> Attempt:
    """A row of `attempts`."""
    return Attempt(
        job_id=row.job_id,
        number=row.number,
        state=AttemptState(row.state),
        worker=row.worker,
        deliveries=row.deliveries,
        started_at=row.started_at,
        finished_at=row.finished_at,
        failure=to_failure(row.failure),
        detail=row.detail,
        parked=row.parked,
    )


def to_envelope(row: Row) -> Envelope:
    """A row of `outbox`, joined with what the message's headers need of its job."""
    return Envelope(
        job_id=row.job_id,
        attempt=row.attempt,
        token=row.token,
        kind=row.kind,
        idempotency_key=row.idempotency_key,
        route=Route(row.exchange, row.routing_key),
        priority=row.priority,
        enqueued_at=row.created_at,
        traceparent=row.traceparent,
    )


def to_dead_letter(row: Row) -> DeadLetter:
    """A row of `dead_letters`."""
    return DeadLetter(
        id=row.id,
        job_id=row.job_id,
        attempt=row.attempt,
        tenant=row.tenant,
        kind=row.kind,
        reason=DeadReason(row.reason),
        error=row.error,
        message=row.message,
        attempts=row.attempts,
        headers=row.headers,
        body=row.body,
        died_at=row.died_at,
        replayed_at=row.replayed_at,
        dropped_at=row.dropped_at,
        dropped_by=row.dropped_by,
        drop_reason=row.drop_reason,
    )
