"""A submit against scripted answers: what the client repeats, what it does not, and with which key."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from client_script import Script, accepted, job, problem

from holdfast.client import (
    JobRequest,
    NotNow,
    Patience,
    ProblemError,
    Unreachable,
)


def test_a_submit_without_a_key_gets_a_new_one_each_time() -> None:
    script = Script(accepted())
    client = script.client()
    client.submit("pdf.render", {})
    client.submit("pdf.render", {})
    assert all(script.keys)
    assert script.keys[0] != script.keys[1]


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("nothing came back"),
        httpx.RemoteProtocolError("the server went away in the middle of the answer"),
        problem(429),
        problem(502),
        problem(503),
        problem(504),
        problem(409),
        httpx.Response(502, text="<html>Bad Gateway</html>"),
    ],
)
def test_a_submit_is_repeated_with_the_same_key_and_body(failure: httpx.Response | Exception) -> None:
    script = Script(failure, failure, accepted())
    assert script.client().submit("pdf.render", {"html": "<p>"}).id == "019a-1"
    assert len(script.requests) == 3
    assert len(set(script.keys)) == 1
    assert len({request.content for request in script.requests}) == 1


def test_a_retry_after_is_waited_for() -> None:
    script = Script(problem(503, retry_after="4"), accepted())
    script.client().submit("pdf.render", {})
    assert 4.0 <= script.slept[0] < 4.5


def test_a_submit_gives_up_at_its_deadline_and_says_why() -> None:
    script = Script(httpx.ConnectError("refused"))
    with pytest.raises(Unreachable, match=r"http://api\.test.*refused"):
        script.client(Patience(total=10.0)).submit("pdf.render", {})
    assert sum(script.slept) <= 10.0
    assert len(script.requests) > 3


def test_a_retry_after_past_the_deadline_is_not_waited_for() -> None:
    script = Script(problem(429, retry_after="3600"))
    with pytest.raises(NotNow) as caught:
        script.client().submit("pdf.render", {})
    assert (caught.value.status, caught.value.retry_after, script.slept) == (429, 3600.0, [])


def test_no_patience_means_one_request() -> None:
    script = Script(problem(503))
    with pytest.raises(ProblemError):
        script.client(Patience(total=0.0)).submit("pdf.render", {})
    assert len(script.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 500])
def test_a_refusal_is_not_repeated(status: int) -> None:
    script = Script(problem(status, detail="no", errors=[{"pointer": "/payload/html", "detail": "missing"}]))
    with pytest.raises(ProblemError) as caught:
        script.client().submit("pdf.render", {})
    assert len(script.requests) == 1
    assert caught.value.status == status
    assert caught.value.detail == "no"
    assert caught.value.type.endswith("/problems/x")
    assert [(error.pointer, error.detail) for error in caught.value.errors] == [("/payload/html", "missing")]
    assert "/payload/html: missing" in str(caught.value)


def test_only_what_was_asked_for_is_sent() -> None:
    script = Script(accepted())
    client = script.client(api_key="hf_secret")
    client.submit("pdf.render", {"name": None})
    client.submit("pdf.render", {}, key="k-1", priority="high", delay=1.5, tags=["a"])
    assert json.loads(script.requests[0].content) == {"kind": "pdf.render", "payload": {"name": None}}
    assert json.loads(script.requests[1].content) == {
        "kind": "pdf.render",
        "payload": {},
        "priority": "high",
        "delay": 1.5,
        "tags": ["a"],
    }
    assert script.keys[1] == "k-1"
    assert script.requests[0].headers["Authorization"] == "Bearer hf_secret"


def test_a_callback_is_asked_for_alone_and_in_a_batch() -> None:
    script = Script(
        accepted(callback_url="https://a.example/x"),
        httpx.Response(207, json={"outcomes": [{"status": 202, "job": job()}]}),
    )
    client = script.client()
    callback: dict[str, Any] = {"callback_url": "https://a.example/x", "callback_secret": "whsec_x"}
    assert client.submit("pdf.render", {}, **callback).callback_url == "https://a.example/x"
    client.batch([JobRequest(kind="pdf.render", payload={}, **callback)])
    alone, batch = (json.loads(request.content) for request in script.requests)
    assert alone == {"kind": "pdf.render", "payload": {}} | callback
    assert batch["jobs"][0] | callback == batch["jobs"][0]


def test_a_request_that_is_printed_keeps_its_secret() -> None:
    request = JobRequest(kind="k", payload={}, callback_url="https://a.example/x", callback_secret="whsec_x")
    assert "whsec_x" not in repr(request)


def test_a_replayed_answer_is_told_apart() -> None:
    replayed = httpx.Response(202, json=job(), headers={"Idempotent-Replayed": "true"})
    client = Script(accepted(), replayed).client()
    first, second = client.submit("pdf.render", {}, key="k"), client.submit("pdf.render", {}, key="k")
    assert (first.replayed, second.replayed) == (False, True)


def test_a_batch_sends_again_only_what_the_api_was_too_busy_for() -> None:
    def outcome(status: int, **fields: Any) -> dict[str, Any]:
        return {"status": status} | fields

    busy = {"type": "t", "title": "Too busy", "status": 503}
    wrong = {"type": "t", "title": "Wrong", "status": 422}
    script = Script(
        httpx.Response(
            207,
            json={
                "outcomes": [
                    outcome(202, job=job(id="a")),
                    outcome(503, problem=busy),
                    outcome(422, problem=wrong),
                    outcome(409, problem=busy),
                ]
            },
        ),
        httpx.Response(207, json={"outcomes": [outcome(202, job=job(id="b")), outcome(202, job=job(id="d"))]}),
    )
    outcomes = script.client().batch([JobRequest(kind="pdf.render", payload={"n": n}) for n in range(4)])
    assert [(it.status, it.job.id if it.job else None) for it in outcomes] == [
        (202, "a"),
        (202, "b"),
        (422, None),
        (202, "d"),
    ]
    first, second = (json.loads(request.content)["jobs"] for request in script.requests)
    assert all(it["idempotency_key"] for it in first)
    assert second == [first[1], first[3]]


def test_a_batch_that_stays_too_busy_ends_with_its_problems() -> None:
    script = Script(httpx.Response(207, json={"outcomes": [{"status": 503, "problem": {"status": 503}}]}))
    outcomes = script.client(Patience(total=3.0)).batch([JobRequest(kind="k", payload={})])
    assert [it.status for it in outcomes] == [503]
    assert sum(script.slept) <= 3.0


def test_a_batch_is_sent_again_when_its_problems_say_so() -> None:
    full = {"status": 429, "problem": {"status": 429, "retry_after": 7}}
    done = {"status": 202, "job": job(id="a")}
    script = Script(httpx.Response(207, json={"outcomes": [full]}), httpx.Response(207, json={"outcomes": [done]}))
    outcomes = script.client().batch([JobRequest(kind="k", payload={})])
    assert [it.status for it in outcomes] == [202]
    assert 7.0 <= script.slept[0] < 7.5


def test_more_than_a_batch_holds_is_refused_before_it_is_sent() -> None:
    script = Script(accepted())
    with pytest.raises(ValueError, match="1000"):
        script.client().batch([JobRequest(kind="k", payload={})] * 1001)
    assert not script.requests
