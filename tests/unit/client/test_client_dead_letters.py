"""Replays against scripted answers: one that may have happened is not asked for again."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from client_script import Script, accepted, problem

from holdfast.client import (
    DeadLetterFilter,
    ProblemError,
    Unreachable,
)


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("late"), problem(502), problem(504), problem(409)])
def test_a_replay_that_may_have_happened_is_not_sent_again(failure: httpx.Response | Exception) -> None:
    script = Script(failure)
    with pytest.raises((Unreachable, ProblemError)):
        script.client().replay("letter")
    assert len(script.requests) == 1


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), problem(503), problem(429)])
def test_a_replay_that_cannot_have_happened_is_sent_again(failure: httpx.Response | Exception) -> None:
    script = Script(failure, accepted())
    assert script.client().replay("letter", priority="low").state == "queued"
    assert json.loads(script.requests[1].content) == {"priority": "low"}


def test_a_bulk_replay_names_only_what_was_asked_for() -> None:
    script = Script(httpx.Response(200, json={"matched": 3, "replayed": 0, "skipped": 0, "dry_run": True}))
    assert script.client().replay_all(DeadLetterFilter(kind="pdf.render"), dry_run=True).matched == 3
    assert json.loads(script.requests[0].content) == {"filter": {"kind": "pdf.render"}, "dry_run": True}


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({"dry_run": True}, 60),
        ({}, 160),
        ({"limit": 500}, 65),
        ({"limit": 500, "rate": 5.0}, 160),
    ],
    ids=str,
)
def test_a_bulk_replay_is_waited_for_as_long_as_it_may_take(asked: dict[str, Any], seconds: float) -> None:
    script = Script(httpx.Response(200, json={"matched": 3}))
    script.client().replay_all(DeadLetterFilter(), **asked)
    assert script.requests[0].extensions["timeout"]["read"] == seconds


def test_the_groups_of_the_dead_letters_are_asked_for_with_the_filter() -> None:
    group = {
        "fingerprint": "00c0ffee00c0ffee",
        "kind": None,
        "reason": "unparseable",
        "error": "Unparseable",
        "message": "the message is no ticket",
        "count": 3,
        "first_seen": "2026-05-01T12:00:00Z",
        "last_seen": "2026-05-02T12:00:00Z",
    }
    script = Script(httpx.Response(200, json={"groups": [group]}))
    [found] = script.client().dead_letter_groups(DeadLetterFilter(fingerprint="00c0ffee00c0ffee"), limit=7)
    assert (found.count, found.kind, found.last_seen.day) == (3, None, 2)
    assert script.requests[0].url.path == "/v1/dead-letters/groups"
    assert dict(script.requests[0].url.params) == {"fingerprint": "00c0ffee00c0ffee", "limit": "7"}
