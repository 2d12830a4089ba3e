"""What a webhook job may say, and what is refused at submit."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.handlers.retry_after import LONGEST, retry_after
from holdfast.handlers.webhook.payload import WebhookPayload

SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()
URL = "https://hooks.example.com/in"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def payload(**fields: Any) -> WebhookPayload:
    return WebhookPayload.model_validate({"url": URL, "body": {}} | fields)


def refused(**fields: Any) -> str:
    with pytest.raises(ValidationError) as problem:
        WebhookPayload.model_validate({"url": URL, **fields})
    return str(problem.value)


def test_the_same_job_always_has_the_same_bytes() -> None:
    for one in (payload(body={"b": 1, "a": [1.5, None, "ü"]}), payload(body={"b": 1}, event_type="a.b")):
        again = WebhookPayload.model_validate(one.model_dump(exclude={"body_text"}))
        assert one.content(NOON) == again.content(NOON.astimezone(timezone(timedelta(hours=9))))
    assert payload(body={"b": 1, "a": [1.5, None, "ü"]}).content(NOON) == '{"b":1,"a":[1.5,null,"ü"]}'.encode()


def test_an_event_type_wraps_the_body_as_standard_webhooks_recommends() -> None:
    one = payload(body={"id": 7}, event_type="invoice.paid")
    assert one.content(NOON) == b'{"type":"invoice.paid","timestamp":"2026-01-01T12:00:00.000000Z","data":{"id":7}}'


@pytest.mark.parametrize("body", [None, False, 0, "", [], {}])
def test_an_empty_json_body_is_a_body(body: Any) -> None:
    assert payload(body=body).content(NOON) in {b"null", b"false", b"0", b'""', b"[]", b"{}"}


def test_a_text_body_is_sent_as_it_is() -> None:
    one = WebhookPayload(url=URL, body_text="a\nb ü")
    assert (one.content(NOON), one.media_type) == ("a\nb ü".encode(), "text/plain; charset=utf-8")


def test_exactly_one_body_is_wanted() -> None:
    assert "exactly one" in refused()
    assert "exactly one" in refused(body={}, body_text="")
    assert "event_type" in refused(body_text="", event_type="a")


@pytest.mark.parametrize("body", [2**64, "\ud800", {"\ud800": 1}])
def test_a_body_that_has_no_json_form_is_refused_at_submit(body: Any) -> None:
    assert "body" in refused(body=body)


@pytest.mark.parametrize(
    "url", ["", "hooks.example.com", "ftp://x/", "http://", "http://a:b@x/", "http://a@x/", "http://[::1/"]
)
def test_a_url_that_cannot_be_dialled_is_refused_at_submit(url: str) -> None:
    assert "url" in refused(url=url, body={})


@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "Transfer-Encoding", "connection", "keep-alive", "TE", "upgrade", "proxy-authorization",
     "Webhook-Id", "webhook-signature", "webhook-anything", "user-agent", "expect", "a b", "", "a:b", "a\n", "ü"],
)  # fmt: skip
def test_a_header_of_ours_or_of_nobody_is_refused(name: str) -> None:
    assert "headers" in refused(body={}, headers={name: "x"})


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\n", "a\0", "ü", "x" * 4097])
def test_a_header_value_stays_on_its_line(value: str) -> None:
    assert "on one line" in refused(body={}, headers={"x-a": value})


def test_headers_are_few_and_named_once() -> None:
    assert "twice" in refused(body={}, headers={"X-A": "1", "x-a": "2"})
    assert "headers" in refused(body={}, headers={f"x-{n}": "" for n in range(33)})
    assert payload(headers={"authorization": "Bearer x"}).headers == {"authorization": "Bearer x"}


def test_a_secret_is_checked_and_never_shown() -> None:
    one = payload(secrets=[SECRET, SECRET], headers={"authorization": "hidden"}, body="hidden")
    assert one.signing_secrets() == [SECRET, SECRET]
    assert SECRET not in repr(one)
    assert "hidden" not in repr(one)
    assert payload(secret=SECRET).signing_secrets() == [SECRET]
    assert payload().signing_secrets() == []
    both = {"secret": SECRET, "secrets": [SECRET]}
    wrongs: list[dict[str, Any]] = [{"secret": "hidden"}, {"secrets": []}, {"secrets": [SECRET] * 6}, both]
    for wrong in wrongs:
        problem = refused(body={}, **wrong)
        assert "hidden" not in problem
        assert SECRET not in problem


@pytest.mark.parametrize("seconds", [0, -1, 61, "nan", "inf"])
def test_a_timeout_is_a_sane_number(seconds: Any) -> None:
    assert "timeout_seconds" in refused(body={}, timeout_seconds=seconds)


def test_a_field_with_a_typing_error_is_found() -> None:
    assert "secert" in refused(body={}, secert=SECRET)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Thu, 01 Jan 2026 12:01:30 GMT", 90),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("99999999999999999999", LONGEST.total_seconds()),
        ("Thu, 01 Jan 2099 11:00:00 GMT", LONGEST.total_seconds()),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value: str | None, seconds: float | None) -> None:
    wait = retry_after(value, NOON)
    assert (wait.total_seconds() if wait is not None else None) == seconds
