"""The callback of an ended job: a webhook like any other, which tells how it ended and nothing more."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.callback import callback
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.domain.job import Job, JobState
from holdfast.handlers.webhook import WebhookPayload
from ledger_world import FATAL, NOW, make_job

URL = "https://hooks.example.com/done"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW_ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


def ended(**changes: Any) -> Job:
    values: dict[str, Any] = {
        "key": "order-1",
        "callback_url": URL,
        "priority": 24,
        "tags": ("a",),
        "traceparent": "00-a-b-01",
    }
    job = make_job(**values | changes)
    return replace(job, state=JobState.RUNNING, attempt=3)


def told(job: Job, state: JobState = JobState.SUCCEEDED, failure: Failure | None = None) -> Job:
    made = callback(job, state, None if failure else {"n": 1}, failure, NEW_ID, NOW)
    assert made is not None
    return made


def test_nobody_is_told_who_did_not_ask() -> None:
    assert callback(ended(callback_url=None), JobState.SUCCEEDED, {}, None, NEW_ID, NOW) is None


def test_a_callback_is_a_webhook_that_is_queued_at_once() -> None:
    job = ended(delay=timedelta(hours=1), deadline=NOW + timedelta(hours=1))
    made = told(job)
    assert (made.id, made.kind, made.queue, made.state, made.attempt) == (
        NEW_ID,
        "webhook.dispatch",
        "webhook",
        "queued",
        1,
    )
    assert (made.tenant, made.priority, made.traceparent) == (job.tenant, 24, "00-a-b-01")
    assert (made.due_at, made.deadline, made.created_at, made.tags) == (None, None, NOW, ("callback",))


def test_its_key_names_the_ending_so_that_it_is_made_once() -> None:
    job = ended()
    assert told(job).idempotency_key == f"callback:{job.id}:3"
    assert told(job).idempotency_key == told(job, JobState.DEAD, FATAL).idempotency_key
    assert told(replace(job, attempt=4)).idempotency_key != told(job).idempotency_key


def test_it_calls_nobody_back() -> None:
    assert callback(replace(told(ended()), state=JobState.RUNNING), JobState.DEAD, None, FATAL, NEW_ID, NOW) is None


@pytest.mark.parametrize(
    ("state", "failure", "shown"),
    [
        (JobState.SUCCEEDED, None, None),
        (JobState.DEAD, FATAL, {"reason": "rejected", "error": "NotAnImage", "message": "the source is no image"}),
    ],
)
def test_it_tells_how_the_job_ended(state: JobState, failure: Failure | None, shown: Any) -> None:
    job = ended()
    payload = json.loads(json.dumps(told(job, state, failure).payload))
    assert payload == {
        "url": URL,
        "event_type": f"job.{state.value}",
        "body": {
            "id": str(job.id),
            "kind": "test.echo",
            "state": state.value,
            "idempotency_key": "order-1",
            "tags": ["a"],
            "attempt": 3,
            "result": None if failure else {"n": 1},
            "failure": shown,
        },
    }


def test_it_tells_neither_payload_nor_traceback() -> None:
    failure = Failure(DeadReason.EXHAUSTED, "ValueError", "odd", traceback="Traceback hunter2")
    text = json.dumps(told(ended(payload={"password": "hunter2"}), JobState.DEAD, failure).payload)
    assert "hunter2" not in text
    assert "raceback" not in text


@pytest.mark.parametrize("secret", [None, SECRET])
def test_the_webhook_takes_its_payload_and_signs_it_when_there_is_a_secret(secret: str | None) -> None:
    payload = told(ended(callback_secret=secret), JobState.DEAD, FATAL).payload
    assert payload.get("secret") == secret
    WebhookPayload.model_validate(payload)


@given(st.text(st.characters(), max_size=30), st.text(st.characters(), max_size=10))
def test_a_failure_that_quotes_any_input_can_be_sent(message: str, error: str) -> None:
    payload = told(ended(), JobState.DEAD, Failure(DeadReason.REJECTED, error, message)).payload
    json.dumps(payload, ensure_ascii=False).encode()
