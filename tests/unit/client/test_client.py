"""The client against scripted answers: what it repeats, what it does not, and with which key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from holdfast.client import (
    CorruptDownload,
    DeadLetterFilter,
    ForeignAnswer,
    Holdfast,
    JobRequest,
    NotNow,
    Patience,
    ProblemError,
    Unreachable,
    WaitTimeout,
)
from holdfast.client.wire import Wire

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Script:
    """Answers requests in the given order (the last answer for ever), and keeps a clock that only sleeping moves."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        self.now = 1000.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def client(self, patience: Patience | None = None, api_key: str | None = None) -> Holdfast:
        wire = Wire(
            "http://api.test/",
            api_key,
            patience or Patience(),
            transport=httpx.MockTransport(self),
            sleep=self.sleep,
            clock=lambda: self.now,
            draw=lambda: 0.5,
        )
        return Holdfast(wire=wire)

    @property
    def keys(self) -> list[str | None]:
        return [request.headers.get("Idempotency-Key") for request in self.requests]


def job(state: str = "queued", **changes: Any) -> dict[str, Any]:
    return {
        "id": "019a-1",
        "kind": "pdf.render",
        "state": state,
        "priority": 12,
        "attempt": 1,
        "max_attempts": 6,
        "idempotency_key": "k",
        "tags": [],
        "created_at": "2026-05-01T12:00:00Z",
        "links": {"self": "/v1/jobs/019a-1", "attempts": "/v1/jobs/019a-1/attempts", "artifacts": []},
    } | changes


def accepted(**changes: Any) -> httpx.Response:
    return httpx.Response(202, json=job(**changes))


def problem(status: int, retry_after: str | None = None, **fields: Any) -> httpx.Response:
    headers = {"Content-Type": "application/problem+json"} | ({"Retry-After": retry_after} if retry_after else {})
    body = {"type": "https://holdfast.example/problems/x", "title": "Refused", "status": status} | fields
    return httpx.Response(status, headers=headers, content=json.dumps(body))


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


def test_waiting_long_polls_until_the_job_has_ended() -> None:
    script = Script(accepted(state="running"), problem(503), httpx.Response(200, json=job("dead")))
    assert script.client().wait("019a-1", timeout=60).state == "dead"
    assert [request.url.params["wait"] for request in script.requests][:1] == ["30"]


def test_waiting_ends_with_its_timeout_even_if_polls_return_at_once() -> None:
    script = Script(httpx.Response(200, json=job("running")))
    with pytest.raises(WaitTimeout) as caught:
        script.client().wait("019a-1", timeout=5)
    assert caught.value.job.state == "running"
    assert sum(script.slept) == pytest.approx(5.0)
    assert len(script.requests) < 30


def test_jobs_are_listed_over_pages_up_to_the_limit() -> None:
    pages = [
        httpx.Response(200, json={"jobs": [job(id="1"), job(id="2")], "next_cursor": "c"}),
        httpx.Response(200, json={"jobs": [job(id="3"), job(id="4")], "next_cursor": "d"}),
    ]
    script = Script(*pages)
    assert [it.id for it in script.client().jobs(kind="pdf.render", limit=3)] == ["1", "2", "3"]
    assert dict(script.requests[1].url.params) == {"kind": "pdf.render", "cursor": "c", "limit": "1"}


def test_listing_ends_with_the_last_page() -> None:
    script = Script(httpx.Response(200, json={"jobs": [job()], "next_cursor": None}))
    assert len(list(script.client().jobs())) == 1


def test_a_cancellation_is_sent_again_until_it_is_answered() -> None:
    script = Script(httpx.ReadTimeout("late"), problem(503), httpx.Response(200, json=job("cancelled")))
    assert script.client().cancel("019a-1").state == "cancelled"
    assert len(script.requests) == 3


def test_cancelling_a_job_that_has_ended_is_refused() -> None:
    script = Script(problem(409))
    with pytest.raises(ProblemError) as caught:
        script.client().cancel("019a-1")
    assert (caught.value.status, len(script.requests)) == (409, 1)


def test_a_download_is_checked_against_the_digest_that_the_job_lists() -> None:
    data = b"%PDF-1.7"
    link = {
        "name": "a.pdf",
        "media_type": "application/pdf",
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    script = Script(
        httpx.Response(200, json=job("succeeded", links={"artifacts": [link]})),
        httpx.Response(200, content=data),
        httpx.Response(200, content=b"%PDF-1.8"),
    )
    client = script.client()
    ended = client.get("019a-1")
    assert client.download(ended, "a.pdf") == data
    with pytest.raises(CorruptDownload, match=r"a\.pdf"):
        client.download(ended, "a.pdf")


def test_a_presigned_url_is_followed_without_the_api_key() -> None:
    elsewhere = httpx.Response(307, headers={"Location": "http://bucket.test/a.pdf?signature=1"})
    script = Script(elsewhere, httpx.Response(200, content=b"x"))
    assert script.client(api_key="hf_secret").download("019a-1", "a.pdf") == b"x"
    assert script.requests[1].url.host == "bucket.test"
    assert "Authorization" not in script.requests[1].headers


def test_an_id_or_a_name_cannot_lead_to_another_route() -> None:
    script = Script(httpx.Response(200, content=b"x"))
    script.client().download("../kinds", "a/../b?c")
    assert script.requests[0].url.raw_path == b"/v1/jobs/..%2Fkinds/artifacts/a%2F..%2Fb%3Fc"


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


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>hello</html>"),
        httpx.Response(200, json={"hello": "world"}),
        httpx.Response(200, json=["hello"]),
        httpx.Response(301, headers={"Location": "https://api.test/"}),
    ],
)
def test_the_answer_of_something_else_is_told_apart_from_a_bad_job(answer: httpx.Response) -> None:
    script = Script(answer)
    with pytest.raises(ForeignAnswer, match="address of the api"):
        script.client().get("019a-1")
    assert len(script.requests) == 1


def test_readiness_is_an_answer_also_when_it_is_no() -> None:
    body = {"status": "unavailable", "dependencies": {"postgres": {"ok": False, "error": "refused"}}}
    ready = Script(httpx.Response(503, json=body)).client().ready()
    assert not ready.dependencies["postgres"].ok


def test_fields_of_a_newer_api_are_kept() -> None:
    ended = Script(httpx.Response(200, json=job(colour="red"))).client().get("019a-1")
    assert json.loads(ended.model_dump_json())["colour"] == "red"
