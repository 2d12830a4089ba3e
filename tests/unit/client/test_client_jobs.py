"""Jobs against scripted answers: waiting, listing, cancelling, downloading, and answers that are no job."""

from __future__ import annotations

import hashlib
import json

import httpx
import pytest
from client_script import Script, accepted, job, problem

from holdfast.client import (
    CorruptDownload,
    ForeignAnswer,
    ProblemError,
    WaitTimeout,
)


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
