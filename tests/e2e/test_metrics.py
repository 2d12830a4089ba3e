"""What the processes tell Prometheus after real jobs: every documented metric, closed labels, sums that hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from receiver import Receiver

from harness import Member, Platform, Samples, eventually, total
from holdfast.api.app import create
from holdfast.handlers.registry import installed
from holdfast.settings import Settings
from holdfast.telemetry.exposition import Metric, documented
from holdfast.telemetry.families import Teller
from holdfast.telemetry.metrics import KINDS

HOSTILE = ['no."such\n', "x" * 100, "holdfast_jobs", "görmez", "{__name__=~'.+'}"]
"""Kinds that nobody registered."""
PLUGIN = [f"test.{name}" for name in ("noop", "crash", "keep", "block", "linger", "flaky", "stick")]
"""The kinds of the tests, which the platform knows and this process does not."""
TELLERS = {"api": {Teller.API, Teller.STEWARD}, "worker-render": {Teller.WORKER}, "worker-webhook": {Teller.WORKER}}
SUFFIXES = {"histogram": "_count", "counter": "", "gauge": ""}


@pytest.fixture(scope="module")
def told(
    module_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Platform, dict[str, Samples]]]:
    """A platform that has done one of everything, and what its processes tell afterwards."""
    # What the steward publishes again would be counted twice, so it is given time.
    settings = module_settings.model_copy(update={"conserve_every": 0.5, "relay_after": 60.0})
    running = Platform(settings, tmp_path_factory.mktemp("platform"))
    try:
        for name in TELLERS:
            running.start(name)
        running.wait_ready()
        with running.client() as api, Receiver("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") as receiver:
            one_of_everything(api, receiver)
            open_jobs = settled(running.members["api"])
            assert open_jobs == 1, "the job that is scheduled for tomorrow"
            yield running, {name: running.members[name].metrics() for name in TELLERS}
    finally:
        running.stop_all()


def one_of_everything(api: httpx.Client, receiver: Receiver) -> None:
    """Jobs that succeed, retry, die, are replayed, cancelled, called back, refused; and requests nobody expects."""
    webhook = {"url": receiver.url, "body": {}, "secret": receiver.secret}
    key = str(uuid4())
    first = post(api, "webhook.dispatch", webhook, key)
    ended(api, first)
    assert post(api, "webhook.dispatch", webhook, key) == first
    assert api.post("/v1/jobs", json=body("webhook.dispatch", {**webhook, "body": 1}), headers={"Idempotency-Key": key})
    receiver.fail_next(1)
    flaky = post(api, "webhook.dispatch", webhook)
    dead = post(api, "test.flaky", {"reject": True}, callback_url=receiver.url, callback_secret=receiver.secret)
    later = post(api, "test.noop", {}, delay=86400)
    post(api, "test.noop", {}, delay=86400)
    pdf = post(api, "pdf.render", {"html": "<p>x"})
    assert api.post(f"/v1/jobs/{later}/cancel").json()["state"] == "cancelled"
    assert api.post(f"/v1/jobs/{later}/cancel").json()["state"] == "cancelled"
    assert [ended(api, job)["state"] for job in (flaky, dead, pdf)] == ["succeeded", "dead", "succeeded"]
    letter = eventually(lambda: api.get("/v1/dead-letters").json()["dead_letters"])[0]
    assert api.post(f"/v1/dead-letters/{letter['id']}/replay", json={}).status_code == 202
    letters = eventually(lambda: api.get("/v1/dead-letters").json()["dead_letters"])
    assert api.post(f"/v1/dead-letters/{letters[0]['id']}/drop", json={"reason": "a test"}).status_code == 200
    for kind in HOSTILE:
        assert api.post("/v1/jobs", json=body(kind, {})).status_code == 422
    assert api.post("/v1/jobs", json=body("pdf.render", {"no": "such"})).status_code == 422
    for method, path in (("BREW", "/v1/jobs"), ("GET", "/metrics/../../etc"), ("GET", "/v1/jobs/" + "9" * 3000)):
        assert api.request(method, path).status_code >= 400


def body(kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    return {"kind": kind, "payload": payload}


def post(api: httpx.Client, kind: str, payload: dict[str, Any], key: str | None = None, **fields: Any) -> str:
    headers = {"Idempotency-Key": key} if key else {}
    answer = api.post("/v1/jobs", json=body(kind, payload) | fields, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ended(api: httpx.Client, job: str) -> dict[str, Any]:
    answer: dict[str, Any] = api.get(f"/v1/jobs/{job}", params={"wait": 30}).json()
    return answer


def settled(api: Member) -> float:
    """Wait until nothing moves and a census has seen it; return how many jobs have not ended."""

    states = ("scheduled", "queued", "running", "waiting")
    eventually(lambda: [total(api.metrics(), "holdfast_jobs", state=state) for state in states], [1, 0, 0, 0].__eq__)
    time.sleep(1.0)  # two more censuses: what was seen is not older than the counters that are read after it
    return total(api.metrics(), "holdfast_jobs_in")


def told_of(metric: Metric, found: Samples) -> list[dict[str, str]]:
    """The labels of a metric's samples, without those of its own machinery."""
    name = metric.name + SUFFIXES[metric.type]
    return [dict(labels) for sample, labels in found if sample == name]


def test_every_documented_metric_is_there(told: tuple[Platform, dict[str, Samples]]) -> None:
    missing = [
        (name, metric.name)
        for name, tellers in TELLERS.items()
        for metric in documented()
        if metric.by & tellers and not told_of(metric, told[1][name])
    ]
    assert not missing


def test_every_metric_that_is_there_is_documented_and_told_by_who_should(
    told: tuple[Platform, dict[str, Samples]],
) -> None:
    for name, tellers in TELLERS.items():
        own = {sample for sample, _ in told[1][name] if sample.startswith("holdfast_")}
        known = {metric.name for metric in documented() if metric.by & tellers}
        stems = {sample if sample in known else sample.rpartition("_")[0] for sample in own}
        assert stems == known


def test_every_label_has_a_value_of_its_closed_set_whatever_was_asked(
    told: tuple[Platform, dict[str, Samples]],
) -> None:
    create(told[0].settings)  # registers its routes here too
    KINDS.register([*(handler.kind for handler in installed().all()), *PLUGIN])
    wrong = [
        (name, metric.name, labels)
        for name, found in told[1].items()
        for metric in documented()
        for labels in told_of(metric, found)
        if labels.keys() != {label.name for label in metric.labels}
        or any(labels[label.name] not in label.all() for label in metric.labels)
    ]
    assert not wrong


def test_the_numbers_add_up(told: tuple[Platform, dict[str, Samples]]) -> None:
    def whole(name: str, **labels: str) -> float:
        return sum(total(found, name, **labels) for found in told[1].values())

    requests = {"accepted": 6, "deduplicated": 1, "refused": 2 + len(HOSTILE)}
    callbacks = 2  # of the job that died, and died again after its replay
    assert whole("holdfast_jobs_accepted_total") == requests["accepted"] + callbacks
    assert whole("holdfast_jobs_deduplicated_total") == requests["deduplicated"]
    assert whole("holdfast_jobs_refused_total") == requests["refused"]
    assert whole("holdfast_jobs_refused_total", kind="other", reason="unknown_kind") == len(HOSTILE)
    assert whole("holdfast_jobs_submitted_total") == sum(requests.values())
    replays = whole("holdfast_dead_letters_settled_total", end="replayed")
    assert replays == 1
    open_jobs = whole("holdfast_jobs_in")
    assert whole("holdfast_jobs_accepted_total") + replays == whole("holdfast_jobs_ended_total") + open_jobs
    assert whole("holdfast_jobs_ended_total", outcome="cancelled") == 1
    assert whole("holdfast_jobs_ended_total", outcome="rejected") == whole("holdfast_dead_letters_filed_total") == 2
    started, busy = whole("holdfast_attempts_started_total"), whole("holdfast_worker_busy")
    assert (started, busy) == (whole("holdfast_attempts_ended_total"), 0)
    assert whole("holdfast_attempts_ended_total", end="retried") == 1
    assert whole("holdfast_job_queue_wait_seconds_count") == whole("holdfast_job_run_seconds_count") == started
    assert whole("holdfast_publisher_messages_total") == whole("holdfast_publisher_messages_total", result="confirmed")
    assert whole("holdfast_publisher_messages_total") == started


def test_workers_and_api_answer_health_checks(told: tuple[Platform, dict[str, Samples]]) -> None:
    for member in told[0].members.values():
        for path in ("/healthz", "/readyz"):
            assert httpx.get(f"http://127.0.0.1:{member.port}{path}", timeout=60).json()["status"] == "ok"
        assert httpx.get(f"http://127.0.0.1:{member.port}/{'x' * 500}", timeout=60).status_code == 404
