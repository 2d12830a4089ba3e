"""One grep for a job's id over the logs of all processes tells its story, in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from harness import JobCall, Platform, eventually

TRACE = "c" * 32
STORY = [
    ("api", "job_accepted", 1),
    ("worker-webhook", "attempt_started", 1),
    ("worker-webhook", "attempt_settled", 1),  # a retry
    ("worker-webhook", "attempt_started", 2),
    ("worker-webhook", "attempt_settled", 2),
    ("worker-webhook", "attempt_started", 3),
    ("worker-webhook", "attempt_settled", 3),  # the last: dead
    ("api", "dead_letter_filed", 3),  # by the steward
    ("api", "dead_letter_replayed", 3),
    ("worker-webhook", "attempt_started", 4),
    ("worker-webhook", "attempt_settled", 4),
]


def test_one_grep_for_a_job_tells_its_story_over_all_processes(
    platform: Platform, api: httpx.Client, wait: JobCall
) -> None:
    key = str(uuid4())
    headers = {"Idempotency-Key": key, "traceparent": f"00-{TRACE}-{'d' * 16}-01"}
    body = {"kind": "test.flaky", "payload": {"fail_until": 3}}
    job = api.post("/v1/jobs", json=body, headers=headers).raise_for_status().json()
    assert wait(job, within=90)["state"] == "dead"
    letters = eventually(lambda: [it for it in _letters(api) if it["job_id"] == job["id"]])
    replayed = api.post(f"/v1/dead-letters/{letters[0]['id']}/replay", json={}).raise_for_status().json()
    assert wait(replayed, within=60)["state"] == "succeeded"
    lines = eventually(lambda: told(platform.folder, job["id"]), lambda found: len(found) == len(STORY))
    assert [(line["service"], line["event"], line["attempt"]) for line in lines] == STORY
    settled = [(line["outcome"], line["state"]) for line in lines if line["event"] == "attempt_settled"]
    assert settled == [("retry", "waiting"), ("retry", "waiting"), ("retry", "dead"), ("succeeded", "succeeded")]
    named = [(line["job_id"], line["idempotency_key"], line["kind"], line.get("trace_id")) for line in lines]
    assert set(named) == {(job["id"], key, "test.flaky", TRACE)}


def _letters(api: httpx.Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get("/v1/dead-letters", params={"limit": 200}).json()["dead_letters"]
    return found


def told(folder: Path, job_id: str) -> list[dict[str, Any]]:
    """The lines about a job, but not of a ticket that was published again because its confirm was slow."""
    return [line for line in grep(folder, job_id) if line["event"] not in {"ticket_relayed", "ticket_refused"}]


def grep(folder: Path, word: str) -> list[dict[str, Any]]:
    """The lines of every log that hold the word, by time."""
    lines = (line for log in folder.glob("*.log") for line in log.read_text().splitlines() if word in line)
    return sorted((json.loads(line) for line in lines), key=lambda line: str(line["timestamp"]))
