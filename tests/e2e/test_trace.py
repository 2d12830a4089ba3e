"""One trace shown whole: from the caller through api, broker, worker and receiver, over a retry and a replay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from receiver import Receiver

from harness import Platform, eventually
from holdfast.settings import Settings
from otlp import Collector, Span

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(
    module_settings: Settings, tmp_path_factory: pytest.TempPathFactory, collector: Collector
) -> Iterator[Platform]:
    """A platform that sends its spans to the collector."""
    standard = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    # What the steward publishes again would be one span more, so it is given time.
    settings = module_settings.model_copy(update={"relay_after": 60.0})
    running = Platform(settings, tmp_path_factory.mktemp("platform"), environment=standard)
    try:
        for name in ("api", "worker-render", "worker-webhook"):
            running.start(name)
        running.wait_ready()
        yield running
    finally:
        running.stop_all()


def submit(platform: Platform, kind: str, payload: dict[str, Any], traceparent: str) -> dict[str, Any]:
    with platform.client() as api:
        posted = api.post("/v1/jobs", json={"kind": kind, "payload": payload}, headers={"traceparent": traceparent})
        assert posted.status_code == 202, posted.text
        ended: dict[str, Any] = api.get(f"/v1/jobs/{posted.json()['id']}", params={"wait": 30}).json()
        return ended


def story(spans: list[Span]) -> list[tuple[str, str, str, str]]:
    """Each span with its service, its kind and the name of its parent."""
    names = {span.id: span.name for span in spans}
    return [(span.service, span.kind, span.name, names.get(span.parent, span.parent)) for span in spans]


RETRIED = [
    ("holdfast-api", "server", "POST /v1/jobs", CALLER),
    ("holdfast-api", "producer", "publish holdfast.jobs", "POST /v1/jobs"),
    ("holdfast-worker-webhook", "internal", "wait holdfast.webhook", "publish holdfast.jobs"),
    ("holdfast-worker-webhook", "consumer", "process holdfast.webhook", "publish holdfast.jobs"),
    ("holdfast-worker-webhook", "internal", "call webhook", "process holdfast.webhook"),
    ("holdfast-worker-webhook", "client", "POST", "call webhook"),
    ("holdfast-worker-webhook", "producer", "publish holdfast.retry", "process holdfast.webhook"),
    ("holdfast-worker-webhook", "internal", "wait holdfast.webhook", "publish holdfast.retry"),
    ("holdfast-worker-webhook", "consumer", "process holdfast.webhook", "publish holdfast.retry"),
    ("holdfast-worker-webhook", "internal", "call webhook", "process holdfast.webhook"),
    ("holdfast-worker-webhook", "client", "POST", "call webhook"),
]


def test_one_trace_goes_from_the_caller_to_the_receiver_over_a_retry(traced: Platform, collector: Collector) -> None:
    with Receiver(SECRET) as receiver:
        receiver.fail_next(1)
        payload = {"url": receiver.url, "body": {}, "secret": SECRET}
        job = submit(traced, "webhook.dispatch", payload, f"00-{TRACE}-{CALLER}-01")
        assert (job["state"], job["attempt"]) == ("succeeded", 2)
        delivered = receiver.received[0].headers["traceparent"]
    spans = eventually(lambda: collector.of(TRACE), lambda seen: len(seen) == len(RETRIED))
    assert story(spans) == RETRIED
    first, second = (span for span in spans if span.kind == "consumer")
    assert (first.failed, first.attributes["holdfast.job.attempt"]) == (True, 1)
    assert (second.failed, second.attributes["holdfast.job.attempt"]) == (False, 2)
    assert {span.attributes.get("holdfast.job.id") for span in spans if span.kind == "consumer"} == {job["id"]}
    assert delivered == f"00-{TRACE}-{spans[-1].id}-01", "the receiver goes on from the call that reached it"


def test_a_replay_is_a_new_trace_with_a_link_to_the_old_one(traced: Platform, collector: Collector) -> None:
    old = "a" * 32
    job = submit(traced, "test.flaky", {"reject": True}, f"00-{old}-{CALLER}-01")
    assert job["state"] == "dead"
    with traced.client() as api:
        letter = eventually(lambda: api.get("/v1/dead-letters").json()["dead_letters"])[0]
        assert api.post(f"/v1/dead-letters/{letter['id']}/replay", json={}).status_code == 202
        assert api.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()["attempt"] == 2
    replayed = eventually(lambda: [span for span in collector.spans if span.name == "replay test.flaky"])[0]
    published = next(span for span in collector.of(old) if span.kind == "producer")
    assert (replayed.parent, replayed.trace != old) == ("", True)
    assert (old, published.id) in replayed.links
    spans = eventually(lambda: collector.of(replayed.trace), lambda seen: len(seen) >= 5)
    assert [(span.name, parent) for span, (*_, parent) in zip(spans, story(spans), strict=True)] == [
        ("replay test.flaky", ""),
        ("publish holdfast.jobs", "replay test.flaky"),
        ("wait holdfast.custom", "publish holdfast.jobs"),
        ("process holdfast.custom", "publish holdfast.jobs"),
        ("archive holdfast.dead", "publish holdfast.jobs"),
    ]


def test_a_prefork_child_exports_too_and_what_the_steward_promotes_stays_in_its_trace(
    traced: Platform, collector: Collector
) -> None:
    trace = "b" * 32
    with traced.client() as api:
        body = {"kind": "pdf.render", "payload": {"html": "<p>x"}, "delay": 0.2}
        api.post("/v1/jobs", json=body, headers={"traceparent": f"00-{trace}-{CALLER}-01"}).raise_for_status()
    expected = [
        ("holdfast-api", "POST /v1/jobs", CALLER),
        ("holdfast-api", "publish holdfast.jobs", "POST /v1/jobs"),
        ("holdfast-worker-render", "wait holdfast.pdf", "publish holdfast.jobs"),
        ("holdfast-worker-render", "process holdfast.pdf", "publish holdfast.jobs"),
    ]
    names = {name for _, name, _ in expected}  # api and worker export each for itself
    spans = eventually(lambda: collector.of(trace), lambda seen: names <= {span.name for span in seen})
    told = [(span.service, span.name, parent) for span, (*_, parent) in zip(spans, story(spans), strict=True)]
    assert told[:4] == expected
