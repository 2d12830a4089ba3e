"""What never reaches a log, whoever writes the line."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given, note, settings
from hypothesis import strategies as st

from holdfast.domain.errors import BrokerUnavailable
from holdfast.domain.tenancy import new_key
from holdfast.telemetry import logs
from holdfast.telemetry.redaction import REDACTED, clean, harmless, redact
from ledger_world import make_job

MARK = "hunter2-marked"


@pytest.fixture(params=["json", "console"])
def log(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Logs as a process writes them, into a text."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    before = logging.root.handlers[:], logging.root.level
    structlog.reset_defaults()
    logs.configure("INFO", request.param, "test")
    yield written
    logging.root.handlers, level = before
    logging.root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "field",
    [
        "authorization",
        "Authorization",
        "secret",
        "payload",
        "body",
        "set-cookie",
        "password",
        "headers",
        "callback_secret",
    ],
)
def test_a_private_field_is_taken_out_at_any_depth(log: io.StringIO, field: str) -> None:
    structlog.get_logger("t").info("told", **{"about": [{"deep": {field: {"x": MARK}}}], field: MARK, "kind": "kept"})
    assert MARK not in log.getvalue()
    assert "kept" in log.getvalue()


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {REDACTED}"),
        ("the key hf_0123456789abcdef0123 is wrong", f"the key {REDACTED} is wrong"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw=", REDACTED),
        ("https://u:p@hooks.example.com/T0/B1?x=1 answered 503", "https://hooks.example.com/… answered 503"),
        ("'amqp://holdfast:secret@127.0.0.1:5672/v'", "'amqp://127.0.0.1:5672/…'"),
        ("https://example.com said no", "https://example.com said no"),
        ("/v1/jobs/1/artifacts/a?expires=1&signature=abc", f"/v1/jobs/1/artifacts/a?expires=1&signature={REDACTED}"),
        ("/b/k?X-Amz-Credential=A&X-Amz-Signature=b", f"/b/k?X-Amz-Credential={REDACTED}&X-Amz-Signature={REDACTED}"),
        ("<Task finished exception=ValueError('hunter2')>", f"<Task finished exception={REDACTED}"),
        ("the key hf_abc123 (its beginning) and order_key=5", "the key hf_abc123 (its beginning) and order_key=5"),
        ("bearer of bad news", "bearer of bad news"),
    ],
)
def test_text_loses_tokens_secrets_and_all_of_a_url_but_its_host(text: str, becomes: str) -> None:
    assert clean(text) == becomes


def test_every_key_that_we_make_is_recognised() -> None:
    for key in (new_key() for _ in range(100)):
        assert clean(f"a {key} b") == f"a {REDACTED} b"


def fail() -> None:
    local = MARK
    try:
        int(local)
    except ValueError as error:
        raise RuntimeError(f"about {local}") from error


def test_an_exception_is_its_class_and_its_frames(log: io.StringIO) -> None:
    try:
        fail()
    except RuntimeError:
        structlog.get_logger("t").exception("handler_failed")
    written = log.getvalue()
    assert MARK not in written
    assert "in fail" in written and "RuntimeError" in written and "ValueError" in written


def test_the_message_of_an_error_of_ours_is_kept(log: io.StringIO) -> None:
    try:
        raise BrokerUnavailable("RabbitMQ at amqp://holdfast:hunter2-marked@127.0.0.1/ does not answer")
    except BrokerUnavailable:
        structlog.get_logger("t").exception("publisher_failed")
    assert "amqp://127.0.0.1" in log.getvalue() and "does not answer" in log.getvalue()
    assert MARK not in log.getvalue()


def test_a_group_tells_of_its_parts(log: io.StringIO) -> None:
    try:
        raise ExceptionGroup(MARK, [ValueError(MARK), KeyError(MARK)])
    except ExceptionGroup:
        structlog.get_logger("t").exception("failed")
    assert MARK not in log.getvalue()
    assert "ExceptionGroup" in log.getvalue() and "KeyError" in log.getvalue()


def test_libraries_are_held_to_the_same_rules(log: io.StringIO) -> None:
    library = logging.getLogger("some.library")
    library.warning("GET https://example.com/%s with %s", MARK, {"Authorization": f"Bearer {MARK}"})
    try:
        fail()
    except RuntimeError:
        library.exception("Exception in ASGI application")
    assert MARK not in log.getvalue()
    assert "example.com" in log.getvalue() and "in fail" in log.getvalue()


def test_a_line_of_json_stays_one(log: io.StringIO, request: pytest.FixtureRequest) -> None:
    structlog.get_logger("t").info("told", payload={"a": 1}, seconds=1.5, none=None, job_id="j")
    if request.node.callspec.params["log"] == "json":
        line: dict[str, Any] = json.loads(log.getvalue())
        assert (line["payload"], line["seconds"], line["none"], line["job_id"]) == (REDACTED, 1.5, None, "j")


PIECES = st.sampled_from(
    [
        *(
            "a",
            "Z",
            "0",
            "-",
            ".",
            " ",
            "\t",
            "\n",
            "\u00a0",
            "\u2003",
            "\x1c",
            "=",
            "://",
            "http",
            ":",
            "/",
            "//",
            '"',
        ),
        *("\\", "hf_", "HF_", "whsec_", "Whsec_", "bearer", "0123456789abcdef0123", "@", "?", "&", "token", "sig", "{"),
    ]
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
NAMES = st.sampled_from(["event", "job_id", "state", "why", "payload", "Authorization", "set-cookie", "wait"])
VALUES = st.recursive(
    TEXTS | st.integers() | st.none() | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES | TEXTS, inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
@settings(max_examples=500)
def test_a_line_that_is_taken_as_it_is_has_nothing_for_the_rules(event: dict[str, Any]) -> None:
    taken = harmless(event, logs._json(event))
    note(f"taken as it is: {taken}")
    assert not taken or logs._json(redact(None, "", event)) == logs._json(event)


def test_the_line_of_a_job_is_taken_as_it_is() -> None:
    job = make_job(traceparent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01")
    event = {**logs.of_job(job), "event": "job_accepted", "state": "queued", "timestamp": "2026-01-01T00:00:00.000001Z"}
    assert harmless(event, logs._json(event))
