"""The webhook that tells a client how its job ended.

It is a job like any other, written in the transaction that ends the first one: so it is sent if and only if that
one ended, and it is retried, dead-lettered and replayed like any webhook.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.domain.dead_letter import Failure
from holdfast.domain.job import Job, JobState
from holdfast.domain.request import JobRequest

KIND, QUEUE = "webhook.dispatch", "webhook"
TAG = "callback"


def callback(
    job: Job, state: JobState, result: Mapping[str, Any] | None, failure: Failure | None, new_id: UUID, now: datetime
) -> Job | None:
    """The callback of a job that ends in `state`; None when nobody asked for one."""
    if job.callback_url is None:
        return None
    payload: dict[str, Any] = {
        "url": job.callback_url,
        "event_type": f"job.{state.value}",
        "body": _summary(job, state, result, failure),
    }
    if job.callback_secret is not None:
        payload["secret"] = job.callback_secret
    request = JobRequest(
        tenant=job.tenant,
        kind=KIND,
        payload=payload,
        priority=job.priority,
        key=f"callback:{job.id}:{job.attempt}",
        tags=(TAG,),
        traceparent=job.traceparent,
    )
    return request.job(new_id, QUEUE, now)


def _summary(job: Job, state: JobState, result: Mapping[str, Any] | None, failure: Failure | None) -> Mapping[str, Any]:
    """What the receiver learns: no payload, no traceback."""
    return {
        "id": str(job.id),
        "kind": job.kind,
        "state": state.value,
        "idempotency_key": job.idempotency_key,
        "tags": list(job.tags),
        "attempt": job.attempt,
        "result": result,
        "failure": failure
        and {"reason": failure.reason, "error": _sound(failure.error), "message": _sound(failure.message)},
    }


def _sound(text: str) -> str:
    """An error's text may quote any input, and JSON keeps no lone surrogates."""
    return text.encode("utf-8", "replace").decode()
