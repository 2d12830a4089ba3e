"""What a request may not be: too long, too deep, too slow, or text that cannot be kept. Each is a 4xx that says so."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
from raw_http import Wire, wire

from harness import Platform
from holdfast.api.protocol import HEAD_SECONDS, MAX_FIELDS, MAX_HEAD, MAX_TARGET
from holdfast.api.strict import MAX_DEPTH

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


def refused(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:holdfast:problem:{kind}"
    return document


# -- the head -----------------------------------------------------------------------------------------------------


def test_a_head_of_the_usual_size_is_taken(api: httpx.Client) -> None:
    headers = {f"X-{number}": "a" * 200 for number in range(MAX_FIELDS - 10)}
    assert api.get("/healthz", headers=headers, params={"q": "a" * (MAX_TARGET - 100)}).status_code == 200


@pytest.mark.parametrize(
    ("head", "status", "kind"),
    [
        (REQUEST + b"X: y\r\n" * (MAX_FIELDS + 1) + b"\r\n", 431, "headers-too-large"),
        (REQUEST + b"X: " + b"y" * MAX_HEAD + b"\r\n\r\n", 431, "headers-too-large"),
        (REQUEST + b"".join(b"X%d: %s\r\n" % (n, b"y" * 1000) for n in range(40)) + b"\r\n", 431, "headers-too-large"),
        (b"GET /" + b"a" * MAX_TARGET + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "uri-too-long"),
        (b"this is no HTTP\r\n\r\n", 400, "bad-request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad-request"),
    ],
    ids=["many fields", "a long field", "many long fields", "a long target", "no HTTP", "TLS"],
)
def test_a_head_that_is_too_large_or_no_http_is_refused_and_the_connection_closed(
    platform: Platform, head: bytes, status: int, kind: str
) -> None:
    with wire(platform) as client:
        client.send(head)
        refused(client.answer(), status, kind)


@pytest.mark.parametrize("endless", [b"X: y\r\n" * 1000, b"y" * 65536], ids=["fields", "one field"])
def test_a_head_without_an_end_is_refused_after_a_bounded_part_of_it(platform: Platform, endless: bytes) -> None:
    with wire(platform) as client:
        client.send(REQUEST + b"Endless: ")
        sent = 0
        while sent < 100 * MAX_HEAD and client.send(endless):
            sent += len(endless)
        assert sent < 100 * MAX_HEAD, "the api went on listening"


def test_a_trailer_without_an_end_is_refused(platform: Platform) -> None:
    with wire(platform) as client:
        client.send(b"POST /v1/uploads HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        sent = 0
        while sent < 100 * MAX_HEAD and client.send(b"X: y\r\n" * 1000):
            sent += 6000
        assert sent < 100 * MAX_HEAD, "the api went on listening"


def dripped(client: Wire, head: bytes, drop: bytes, longest: float) -> float:
    """Send a drop every half second until the api has had enough; return after how many seconds that was."""
    began = time.monotonic()
    client.connection.settimeout(0.5)
    client.send(head)
    while time.monotonic() - began < longest:
        try:
            if client.connection.recv(1, 2) is not None:  # MSG_PEEK
                break
        except TimeoutError:
            client.send(drop)
    client.connection.settimeout(10)
    return time.monotonic() - began


def test_a_head_that_only_drips_in_is_given_up(platform: Platform) -> None:
    with wire(platform) as client:
        took = dripped(client, REQUEST, b"X: y\r\n", HEAD_SECONDS + 10)
        refused(client.answer(), 408, "request-timeout")
    assert took >= HEAD_SECONDS - 1


def test_a_connection_that_says_nothing_is_closed(platform: Platform) -> None:
    with wire(platform, within=HEAD_SECONDS + 10) as client:
        assert client.connection.recv(1) == b""


# -- the body -----------------------------------------------------------------------------------------------------


def post(api: httpx.Client, body: bytes) -> httpx.Response:
    return api.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"})


def nested(depth: int) -> bytes:
    """A job whose body has so many arrays and objects in each other."""
    return b'{"kind": "test.noop", "payload": ' + b'{"x":' * (depth - 1) + b"1" + b"}" * (depth - 1) + b"}"


def test_nesting_of_the_allowed_depth_reaches_the_kind(api: httpx.Client) -> None:
    document = refused(post(api, nested(MAX_DEPTH)), 422, "invalid-request")
    assert "extra" in document["detail"].lower()


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 300, 1_100, 100_000])
def test_a_body_that_is_nested_too_deep_is_refused(api: httpx.Client, depth: int) -> None:
    response = post(api, nested(depth))
    assert response.status_code in {400, 422}
    assert any(words in response.json()["detail"] for words in ("nested deeper", "depth limit"))


@pytest.mark.parametrize(
    "body",
    [
        rb'{"kind": "test\ud800", "payload": {}}',
        rb'{"kind": "test.noop", "payload": {"\udfff": 1}}',
        rb'{"kind": "test\u0000", "payload": {}}',
        rb'{"kind": "test.noop", "payload": {}, "tags": ["a\u0000"]}',
        rb'{"kind": "test.noop", "payload": {}, "a\u0000b": 1}',
        rb'{"kind": "test.noop", "payload": {}, "callback_url": "http://a\u0000b/"}',
    ],
)
def test_text_that_cannot_be_kept_is_a_422(api: httpx.Client, body: bytes) -> None:
    refused(post(api, body), 422, "invalid-request")


@pytest.mark.parametrize("body", [b"NaN", b'{"kind": Infinity}', b"[", b"\xff", b'{"a": 1e999}', b'"\xed\xa0\x80"'])
def test_what_is_no_json_is_refused(api: httpx.Client, body: bytes) -> None:
    assert post(api, body).status_code in {400, 422}


def test_a_payload_may_hold_what_its_kind_takes_and_numbers_of_any_size(api: httpx.Client) -> None:
    payload = rb'{"url": "http://127.0.0.1:9/", "body": {"nul": "\u0000", "big": 123456789012345678901234567890}}'
    job = rb'{"kind": "webhook.dispatch", "payload": ' + payload + rb', "delay": 86400}'
    assert post(api, job).status_code == 202


@pytest.mark.parametrize(
    "path",
    [
        "/v1/jobs?tag=a%00b",
        "/v1/jobs?kind=%00",
        "/v1/dead-letters?error=%00",
        "/v1/audit?actor=%00",
        "/v1/jobs/0f3bb5a1-6f0e-4c55-9d3a-5d1e2a7c9b10/artifacts/%00",
    ],
)
def test_a_nul_in_an_address_is_a_422(api: httpx.Client, path: str) -> None:
    refused(api.get(path), 422, "invalid-request")


@pytest.mark.parametrize("path", ["/v1/jobs?tag=%ED%A0%80", "/v1/jobs?tag=%FF", "/v1/dead-letters?error=%C0%80"])
def test_bytes_in_an_address_that_are_no_text_find_nothing(api: httpx.Client, path: str) -> None:
    assert api.get(path).status_code == 200


def test_a_batch_of_too_many_is_refused(api: httpx.Client) -> None:
    jobs = [{"kind": "test.noop", "payload": {}}] * 1001
    refused(api.post("/v1/jobs/batch", json={"jobs": jobs}), 422, "invalid-request")
    refused(api.post("/v1/jobs/batch", json={"jobs": []}), 422, "invalid-request")
