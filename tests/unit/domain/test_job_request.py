"""A request becomes a job."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from holdfast.domain.job import Job, JobState
from ledger_world import NOW, make_request

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
SECOND = timedelta(seconds=1)


def become(**changes: Any) -> Job:
    return make_request(**changes).job(ID, "image", NOW)


def test_a_plain_request_is_queued_at_once() -> None:
    job = become(key="k", tags=("a",), traceparent="00-a-b-01", deadline=NOW + SECOND)
    assert (job.state, job.due_at, job.attempt, job.spent_before) == (JobState.QUEUED, None, 1, 0)
    assert (job.id, job.queue, job.created_at, job.idempotency_key) == (ID, "image", NOW, "k")
    assert (job.tags, job.traceparent, job.deadline) == (("a",), "00-a-b-01", NOW + SECOND)


def test_without_a_key_the_job_id_is_the_key() -> None:
    assert become().idempotency_key == str(ID)


@pytest.mark.parametrize(
    ("timing", "due"),
    [({"delay": SECOND}, NOW + SECOND), ({"run_at": NOW + 9 * SECOND}, NOW + 9 * SECOND)],
    ids=["delay", "run_at"],
)
def test_a_time_to_come_schedules_the_job(timing: dict[str, Any], due: datetime) -> None:
    job = become(**timing)
    assert (job.state, job.due_at) == (JobState.SCHEDULED, due)


@pytest.mark.parametrize(
    "timing",
    [{"delay": timedelta(0)}, {"delay": -SECOND}, {"run_at": NOW}, {"run_at": NOW - SECOND}],
    ids=["no delay", "negative delay", "now", "past"],
)
def test_a_time_that_has_passed_queues_the_job_now(timing: dict[str, Any]) -> None:
    job = become(**timing)
    assert (job.state, job.due_at) == (JobState.QUEUED, None)
