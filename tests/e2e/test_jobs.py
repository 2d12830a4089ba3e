"""Jobs through the whole platform: HTTP, ledger, broker, worker, handler, and back."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from assets import photograph
from PIL import Image
from pypdf import PdfReader
from receiver import Receiver

from chromium_world import program
from harness import JobCall, Platform, eventually


@pytest.fixture(scope="session")
def picture() -> bytes:
    return photograph()


def test_a_photograph_becomes_its_variants(api: httpx.Client, submit: JobCall, wait: JobCall, picture: bytes) -> None:
    upload = api.post("/v1/uploads", content=picture, headers={"Content-Type": "image/jpeg"}).json()
    variants = [
        {"name": "large", "width": 1600, "format": "jpeg"},
        {"name": "square", "width": 300, "height": 300, "fit": "cover", "format": "webp"},
        {"name": "small", "width": 120, "format": "png"},
    ]
    job = wait(submit("image.transform", {"source": {"upload": upload["id"]}, "variants": variants}))
    assert job["state"] == "succeeded", job["failure"]
    files = {file["name"]: api.get(file["href"]) for file in job["links"]["artifacts"]}
    sizes = {name: Image.open(io.BytesIO(response.content)).size for name, response in files.items()}
    assert sizes == {"large.jpg": (1600, 1200), "square.webp": (300, 300), "small.png": (120, 90)}
    assert files["large.jpg"].headers["content-type"] == "image/jpeg"


def test_an_artifact_can_be_the_source_of_the_next_job(
    api: httpx.Client, submit: JobCall, wait: JobCall, picture: bytes
) -> None:
    upload = api.post("/v1/uploads", content=picture).json()
    first = wait(
        submit("image.transform", {"source": {"upload": upload["id"]}, "variants": [{"name": "a", "width": 400}]})
    )
    source = {"artifact": {"job_id": first["id"], "name": first["links"]["artifacts"][0]["name"]}}
    second = wait(submit("image.transform", {"source": source, "variants": [{"name": "b", "width": 40}]}))
    assert second["result"]["variants"][0]["width"] == 40


def test_chromium_prints_a_page_that_draws_itself(
    platform: Platform, api: httpx.Client, submit: JobCall, wait: JobCall
) -> None:
    program()
    html = """<body><script>
        fetch('/never').catch(() => {});
        setTimeout(() => { document.body.append('drawn late'); window.holdfastReady = true; }, 100)</script>"""
    job = wait(
        submit("pdf.render", {"html": html, "engine": "chromium", "javascript": True, "wait_for": "ready"}), within=60
    )
    assert job["state"] == "succeeded", job["failure"]
    assert (job["result"]["engine"], job["result"]["pages"]) == ("chromium", 1)
    file = api.get(job["links"]["artifacts"][0]["href"])
    assert PdfReader(io.BytesIO(file.content)).pages[0].extract_text() == "drawn late"
    chromium = [each for each in platform.members["worker-render"].children() if "chromium" in _command(each)]
    assert len(chromium) > 3


def test_html_becomes_a_pdf_whose_text_can_be_extracted(api: httpx.Client, submit: JobCall, wait: JobCall) -> None:
    template = "<h1>Invoice {{ n }}</h1><p style='page-break-before: always'>second page</p>"
    job = wait(submit("pdf.render", {"template": template, "data": {"n": 17}, "name": "invoice.pdf"}))
    assert job["state"] == "succeeded", job["failure"]
    file = api.get(job["links"]["artifacts"][0]["href"])
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(file.content)).pages]
    assert ["Invoice 17" in pages[0], "second page" in pages[1]] == [True, True]


def test_a_webhook_arrives_once_with_a_good_signature(submit: JobCall, wait: JobCall, receiver: Receiver) -> None:
    payload = {"url": receiver.url, "body": {"order": 1}, "event_type": "order.paid", "secret": receiver.secret}
    job = wait(submit("webhook.dispatch", payload))
    assert (job["state"], receiver.refused) == ("succeeded", 0)
    assert [(sent.json["type"], sent.json["data"]) for sent in receiver.received] == [("order.paid", {"order": 1})]
    assert list(receiver.deliveries.values()) == [1]


def test_a_failed_delivery_is_retried_with_the_same_id_and_every_attempt_is_kept(
    api: httpx.Client, submit: JobCall, wait: JobCall, receiver: Receiver
) -> None:
    receiver.fail_next(2)
    job = wait(submit("webhook.dispatch", {"url": receiver.url, "body": {}, "secret": receiver.secret}), within=60)
    assert (job["state"], job["attempt"]) == ("succeeded", 3)
    attempts = api.get(job["links"]["attempts"]).json()["attempts"]
    assert [attempt["state"] for attempt in attempts] == ["failed", "failed", "succeeded"]
    assert [attempt["detail"]["status"] for attempt in attempts] == [503, 503, 204]
    assert len(receiver.deliveries) == 1


def test_a_job_whose_attempts_are_spent_is_dead_and_can_be_replayed(
    api: httpx.Client, submit: JobCall, wait: JobCall
) -> None:
    key = str(uuid4())
    job = wait(submit("test.flaky", {"fail_until": 4}, key=key), within=60)
    assert (job["state"], job["failure"]["reason"], job["failure"]["error"]) == ("dead", "exhausted", "NotYet")
    letter = _letter_of(api, job)
    assert (letter["reason"], letter["attempts"], letter["kind"]) == ("exhausted", 3, "test.flaky")
    assert letter["headers"]["idempotency-key"] == key
    replayed = api.post(f"/v1/dead-letters/{letter['id']}/replay", json={}).json()
    assert (replayed["id"], replayed["idempotency_key"]) == (job["id"], key)
    ended = wait(replayed, within=60)
    assert (ended["state"], ended["result"]) == ("succeeded", {"attempt": 5})
    assert api.post(f"/v1/dead-letters/{letter['id']}/replay", json={}).status_code == 409
    again = api.post(
        "/v1/jobs", json={"kind": "test.flaky", "payload": {"fail_until": 4}}, headers={"Idempotency-Key": key}
    )
    assert again.json()["id"] == job["id"]


def test_a_rejected_job_is_dead_at_once_and_its_letter_can_be_dropped(
    api: httpx.Client, submit: JobCall, wait: JobCall
) -> None:
    job = wait(submit("test.flaky", {"reject": True}))
    assert (job["state"], job["attempt"], job["failure"]["reason"]) == ("dead", 1, "rejected")
    letter = _letter_of(api, job)
    dropped = api.post(f"/v1/dead-letters/{letter['id']}/drop", json={"reason": "known"}).json()
    assert (dropped["drop_reason"], dropped["dropped_by"]) == ("known", "anonymous (development)")
    assert letter["id"] not in [found["id"] for found in api.get("/v1/dead-letters").json()["dead_letters"]]


def test_a_surprise_is_retried_and_its_traceback_is_shown_to_operators_only(
    api: httpx.Client, submit: JobCall, wait: JobCall
) -> None:
    job = wait(submit("test.flaky", {"surprise": True}), within=60)
    assert (job["failure"]["reason"], job["failure"]["error"]) == ("exhausted", "ZeroDivisionError")
    assert "Traceback" not in str(job)
    letter = api.get(f"/v1/dead-letters/{_letter_of(api, job)['id']}").json()
    assert letter["traceback"].endswith("ZeroDivisionError: as the test asked\n")


def test_a_hanging_attempt_dies_as_timed_out(submit: JobCall, wait: JobCall) -> None:
    job = wait(submit("test.block", {"seconds": 30}))
    assert (job["state"], job["failure"]["reason"]) == ("dead", "timed_out")


def test_a_delayed_job_runs_after_its_delay_and_not_before(submit: JobCall, wait: JobCall) -> None:
    job = submit("test.noop", {}, delay=1.5)
    assert job["state"] == "scheduled"
    ended = wait(job)
    assert (ended["state"], ended["queue_wait_seconds"] >= 1.5) == ("succeeded", True)


@pytest.mark.parametrize(("payload", "state"), [({}, "succeeded"), ({"reject": True}, "dead")])
def test_the_end_of_a_job_is_told_to_its_callback_once_and_signed(
    submit: JobCall, wait: JobCall, receiver: Receiver, payload: dict[str, Any], state: str
) -> None:
    told = {"callback_url": receiver.url, "callback_secret": receiver.secret}
    job = wait(submit("test.flaky", payload, tags=["mine"], **told))
    eventually(lambda: receiver.received)
    (delivery,) = receiver.received
    assert (delivery.json["type"], receiver.refused) == (f"job.{state}", 0)
    about = delivery.json["data"]
    assert (about["id"], about["state"], about["tags"]) == (job["id"], state, ["mine"])
    assert about["result"] == job["result"]
    assert (about["failure"] or {}).get("error") == (job["failure"] or {}).get("error")


def test_a_running_job_can_be_cancelled_and_frees_its_slot(
    platform: Platform, api: httpx.Client, submit: JobCall
) -> None:
    job = submit("test.noop", {"seconds": 50})
    eventually(lambda: api.get(f"/v1/jobs/{job['id']}").json()["state"] == "running")
    assert api.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    (attempt,) = api.get(job["links"]["attempts"]).json()["attempts"]
    assert attempt["state"] == "cancelled"
    log = platform.members["worker-webhook"].log
    eventually(lambda: [line for line in log.read_text().splitlines() if "voided" in line and job["id"] in line])


def test_a_retry_after_longer_than_the_tiers_waits_in_the_ledger(submit: JobCall, api: httpx.Client) -> None:
    job = submit("test.flaky", {"fail_until": 1, "after": 600})
    seen = eventually(lambda: api.get(f"/v1/jobs/{job['id']}").json(), lambda job: job["state"] == "waiting")
    assert seen["due_at"] is not None
    assert api.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("kind", "payload", "error", "words"),
    [
        ("image.transform", "not an image", "NotAnImage", "is not an image"),
        ("image.transform", "missing upload", "SourceNotFound", "upload"),
        ("pdf.render", {"template": "{{ nothing.here }}", "data": {}}, "TemplateUndefined", "nothing"),
    ],
)
def test_bad_input_that_only_shows_at_run_time_is_a_dead_job_that_explains_itself(
    api: httpx.Client, submit: JobCall, wait: JobCall, kind: str, payload: Any, error: str, words: str
) -> None:
    if isinstance(payload, str):
        upload = (
            api.post("/v1/uploads", content=b"plain text").json()["id"] if payload == "not an image" else str(uuid4())
        )
        payload = {"source": {"upload": upload}, "variants": [{"name": "a", "width": 10}]}
    job = wait(submit(kind, payload))
    assert (job["state"], job["failure"]["reason"]) == ("dead", "rejected"), job
    assert job["failure"]["error"] == error
    assert words in job["failure"]["message"]
    assert "Traceback" not in job["failure"]["message"]


def _letter_of(api: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    """The dead letter of a job, once the steward has filed it."""

    def look() -> list[dict[str, Any]]:
        letters = api.get("/v1/dead-letters", params={"limit": 200}).json()["dead_letters"]
        return [letter for letter in letters if letter["job_id"] == job["id"]]

    found: Callable[[], list[dict[str, Any]]] = look
    return eventually(found)[0]


def _command(process: psutil.Process) -> str:
    """Its command line; nothing of one that has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie too
        return ""
