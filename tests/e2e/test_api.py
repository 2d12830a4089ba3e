"""The HTTP interface, as a client sees it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from typer.testing import CliRunner

from harness import Platform
from holdfast.cli.main import app

NOOP = {"kind": "test.noop", "payload": {}}


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """Check that an answer is a problem document of this kind; return it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:holdfast:problem:{kind}"
    assert "Traceback" not in response.text
    return document


def test_an_accepted_job_answers_202_with_its_location(api: httpx.Client) -> None:
    response = api.post("/v1/jobs", json=NOOP | {"priority": "high", "tags": ["a", "b"]})
    job = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert (job["priority"], job["tags"], job["idempotency_key"]) == (24, ["a", "b"], job["id"])
    assert api.get(response.headers["location"]).json()["id"] == job["id"]


def test_the_same_key_and_request_returns_the_same_job_and_says_so(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    first, second = (api.post("/v1/jobs", json=NOOP, headers=headers) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"


def test_the_same_key_with_another_request_is_refused_and_names_what_differs(api: httpx.Client) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    api.post("/v1/jobs", json=NOOP, headers=headers)
    other = {"kind": "test.noop", "payload": {"seconds": 1.0}, "priority": "low"}
    document = problem(api.post("/v1/jobs", json=other, headers=headers), 422, "idempotency-key-reused")
    assert document["differs"] == ["/payload/seconds", "/priority"]


async def test_a_hundred_simultaneous_posts_of_one_key_make_one_job(platform: Platform) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    async with httpx.AsyncClient(base_url=platform.url, timeout=30) as client:
        answers = await asyncio.gather(*(client.post("/v1/jobs", json=NOOP, headers=headers) for _ in range(100)))
    accepted = [answer for answer in answers if answer.status_code == 202]
    later = [
        answer for answer in answers if answer.status_code in {409, 503}
    ]  # in flight; overloaded, where it is slow
    assert len(accepted) + len(later) == 100
    assert len({answer.json()["id"] for answer in accepted}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in accepted) == 1
    assert all(answer.headers["retry-after"] for answer in later)


@pytest.mark.parametrize(
    ("body", "kind", "pointer"),
    [
        ({"kind": "no.such", "payload": {}}, "unknown-kind", "/kind"),
        ({"kind": "test.noop"}, "invalid-request", "/payload"),
        ({"kind": "test.noop", "payload": {"secnods": 1}}, "invalid-request", "/payload/secnods"),
        ({"kind": "test.noop", "payload": {}, "prioritty": 1}, "invalid-request", "/prioritty"),
        ({"kind": "test.noop", "payload": {}, "priority": 32}, "invalid-request", "/priority"),
        ({"kind": "test.noop", "payload": {}, "delay": -1}, "invalid-request", "/delay"),
        ({"kind": "test.noop", "payload": {}, "tags": ["no spaces"]}, "invalid-request", "/tags/0"),
        ({"kind": "image.transform", "payload": {"variants": []}}, "invalid-request", "/payload/source"),
        ({"kind": "webhook.dispatch", "payload": {"url": "ftp://x", "body": 1}}, "invalid-request", "/payload/url"),
    ],
)
def test_a_wrong_field_is_named(api: httpx.Client, body: dict[str, Any], kind: str, pointer: str) -> None:
    document = problem(api.post("/v1/jobs", json=body), 422, kind)
    assert any(
        error["pointer"].startswith(pointer.split("/function", maxsplit=1)[0]) for error in document["errors"]
    ), document


def test_delay_and_run_at_exclude_each_other(api: httpx.Client) -> None:
    both = NOOP | {"delay": 1, "run_at": datetime.now(UTC).isoformat()}
    problem(api.post("/v1/jobs", json=both), 422, "invalid-request")


def test_a_body_that_is_not_json_is_a_400(api: httpx.Client) -> None:
    problem(api.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"}), 400, "malformed-json")


@pytest.mark.parametrize("declared", [True, False])
def test_an_oversize_body_is_refused_before_it_is_parsed(api: httpx.Client, declared: bool) -> None:
    body = b'{"kind": "test.noop", "payload": {"x": "' + b"a" * 1024 * 1024 + b'"}}'
    content: Any = body if declared else iter([body[:600_000], body[600_000:]])
    response = api.post("/v1/jobs", content=content, headers={"Content-Type": "application/json"})
    assert problem(response, 413, "body-too-large")["limit_bytes"] == 1024 * 1024


@pytest.mark.parametrize("key", ["", "a" * 256, "with space", "ümlaut".encode()])
def test_a_bad_key_is_refused(api: httpx.Client, key: str | bytes) -> None:
    document = problem(api.post("/v1/jobs", json=NOOP, headers={"Idempotency-Key": key}), 422, "invalid-request")
    assert document["errors"][0]["pointer"] == "header:Idempotency-Key"


def test_unknown_things_are_problem_documents_too(api: httpx.Client) -> None:
    problem(api.get(f"/v1/jobs/{uuid4()}"), 404, "not-found")
    problem(api.get("/v1/jobs/17"), 422, "invalid-request")
    problem(api.get("/v1/nothing"), 404, "not-found")
    problem(api.delete("/v1/jobs"), 405, "method-not-allowed")
    problem(api.get("/v1/jobs", params={"cursor": "x"}), 422, "invalid-request")


def test_pages_follow_each_other_without_gap_or_repetition(api: httpx.Client) -> None:
    tag = f"page-{uuid4()}"
    made = [api.post("/v1/jobs", json=NOOP | {"tags": [tag]}).json()["id"] for _ in range(7)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = api.get("/v1/jobs", params={"tag": tag, "limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [job["id"] for job in page["jobs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]


def test_a_batch_has_an_outcome_for_each_job(api: httpx.Client) -> None:
    key = str(uuid4())
    jobs = [NOOP | {"idempotency_key": key}, {"kind": "no.such", "payload": {}}, NOOP | {"idempotency_key": "a b"}]
    response = api.post("/v1/jobs/batch", json={"jobs": [*jobs, *[NOOP] * 200]})
    outcomes = response.json()["outcomes"]
    assert response.status_code == 207
    assert [outcome["status"] for outcome in outcomes] == [202, 422, 422, *[202] * 200]
    again = api.post("/v1/jobs/batch", json={"jobs": jobs[:1]}).json()["outcomes"][0]
    assert (again["replayed"], again["job"]["id"]) == (True, outcomes[0]["job"]["id"])


def test_a_waiting_job_can_be_cancelled_and_an_ended_one_cannot(api: httpx.Client) -> None:
    job = api.post("/v1/jobs", json=NOOP | {"delay": 3600}).json()
    assert job["state"] == "scheduled"
    assert api.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert api.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    done = api.post("/v1/jobs", json=NOOP).json()
    api.get(f"/v1/jobs/{done['id']}", params={"wait": 20})
    assert problem(api.post(f"/v1/jobs/{done['id']}/cancel"), 409, "not-cancellable")["state"] == "succeeded"


def test_health_names_every_dependency(api: httpx.Client) -> None:
    assert api.get("/healthz").json() == {"status": "ok"}
    ready = api.get("/readyz").json()
    assert ready["status"] == "ok"
    assert set(ready["dependencies"]) == {"postgres", "rabbitmq", "redis", "artifacts"}


def test_the_openapi_document_has_examples_and_the_docs_page_needs_no_other_host(api: httpx.Client) -> None:
    document = api.get("/openapi.json").json()
    kinds = {example["kind"] for example in document["components"]["schemas"]["JobIn"]["examples"]}
    assert kinds == {"image.transform", "pdf.render", "webhook.dispatch"}
    endpoint = api.post("/v1/endpoints", json={"url": "https://hooks.example.com/orders"}).raise_for_status().json()
    for example in document["components"]["schemas"]["JobIn"]["examples"]:
        if "endpoint_id" in example["payload"]:
            example["payload"]["endpoint_id"] = endpoint["id"]
        answer = api.post("/v1/jobs", json=example | {"delay": 86_400})
        assert answer.status_code == 202, answer.text
    assert "http" not in api.get("/docs").text.replace(str(api.base_url), "")


def test_every_kind_is_listed_with_its_schema(api: httpx.Client) -> None:
    kinds = {kind["kind"]: kind for kind in api.get("/v1/kinds").json()["kinds"]}
    assert {"image.transform", "pdf.render", "webhook.dispatch", "custom.noop", "test.noop"} <= set(kinds)
    assert kinds["image.transform"]["max_attempts"] == 6
    assert kinds["test.noop"]["schema"]["additionalProperties"] is False


def test_a_noop_does_nothing_and_is_kept_like_any_job(api: httpx.Client) -> None:
    body = {"kind": "custom.noop", "payload": {"seconds": 0.01, "filler": "x" * 1000}}
    job = api.post("/v1/jobs", json=body).json()
    assert api.get(f"/v1/jobs/{job['id']}", params={"wait": 20}).json()["state"] == "succeeded"
    assert api.post("/v1/jobs", json={"kind": "custom.noop", "payload": {"seconds": -1}}).status_code == 422


def test_a_job_past_its_deadline_dies_as_expired(api: httpx.Client) -> None:
    late = NOOP | {"deadline": (datetime.now(UTC) - timedelta(seconds=1)).isoformat()}
    job = api.post("/v1/jobs", json=late).json()
    ended = api.get(f"/v1/jobs/{job['id']}", params={"wait": 20}).json()
    assert (ended["state"], ended["failure"]["reason"]) == ("dead", "expired")


def test_keys_separate_tenants_and_roles(
    platform: Platform, api: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setenv("HOLDFAST_POSTGRES_URL", platform.settings.postgres_url.get_secret_value())
    name = f"reader-{uuid4()}"
    made = CliRunner().invoke(app, ["keys", "create", name, "--tenant", "acme", "--role", "read"])
    key = made.stdout.strip()
    assert made.exit_code == 0 and key.startswith("hf_")
    mine = api.post("/v1/jobs", json=NOOP).json()
    with platform.client(headers={"Authorization": f"Bearer {key}"}) as acme:
        assert acme.get("/v1/jobs").json()["jobs"] == []
        problem(acme.get(f"/v1/jobs/{mine['id']}"), 404, "not-found")
        assert problem(acme.post("/v1/jobs", json=NOOP), 403, "forbidden")["role"] == "submit"
    for wrong in ("Bearer hf_wrong", "Basic abc", key):
        response = api.get("/v1/jobs", headers={"Authorization": wrong})
        assert problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert CliRunner().invoke(app, ["keys", "revoke", name]).exit_code == 0
    assert CliRunner().invoke(app, ["keys", "revoke", name]).exit_code == 3
