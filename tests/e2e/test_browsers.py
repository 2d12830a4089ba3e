"""What a browser is told, and what a page of another origin cannot do."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import httpx
import pytest
from raw_http import wire
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from harness import JobCall, Platform

NOOP = {"kind": "test.noop", "payload": {}, "delay": 3600}


@pytest.mark.parametrize(
    "path", ["/healthz", "/v1/jobs", "/v1/nothing", "/v1/jobs/17", "/metrics", "/docs", "/openapi.json"]
)
def test_every_answer_forbids_framing_sniffing_and_referring(api: httpx.Client, path: str) -> None:
    headers = api.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["x-request-id"]
    assert "strict-transport-security" not in headers, "without TLS it would lock people out"
    assert "server" not in headers


def test_a_body_that_is_refused_unread_has_the_headers_too(api: httpx.Client) -> None:
    response = api.post("/v1/jobs", content=b"x" * 1024 * 1024 * 2)
    assert response.status_code == 413
    assert response.headers["x-content-type-options"] == "nosniff"


def test_the_docs_page_runs_only_its_own_scripts(api: httpx.Client) -> None:
    page = api.get("/docs")
    policy = page.headers["content-security-policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}'" in policy
    assert "unsafe-eval" not in policy
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(sources) == 3
    for source in sources:
        assert api.get(source).status_code == 200


def test_a_file_of_a_job_is_downloaded_and_runs_nothing(api: httpx.Client, submit: JobCall, wait: JobCall) -> None:
    job = wait(submit("test.keep", {}))
    answer = api.get(job["links"]["artifacts"][0]["href"])
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''who.txt"
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://[broken"},
    ],
    ids=str,
)
def test_a_page_of_another_origin_changes_nothing(api: httpx.Client, headers: dict[str, str]) -> None:
    for method, path in [("POST", "/v1/jobs"), ("POST", "/v1/dead-letters/replay"), ("DELETE", "/v1/keys/1")]:
        answer = api.request(method, path, json=NOOP, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:holdfast:problem:foreign-origin")


def test_a_page_of_the_apis_own_origin_and_a_program_may(platform: Platform, api: httpx.Client) -> None:
    for headers in ({"Origin": platform.url}, {"Origin": platform.url, "Sec-Fetch-Site": "same-origin"}, {}):
        assert api.post("/v1/jobs", json=NOOP, headers=headers).status_code == 202


def test_an_answer_gives_no_other_origin_leave_to_read_it(api: httpx.Client) -> None:
    answer = api.get("/v1/jobs", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_of_another_origin_opens_no_websocket(platform: Platform) -> None:
    url = platform.url.replace("http", "ws") + "/ws/stats"
    with pytest.raises(InvalidStatus, match="403"):
        connect(url, origin="https://evil.example")  # type: ignore[arg-type]
    with connect(url, origin=platform.url) as socket:  # type: ignore[arg-type]
        socket.send("{}")
        assert "jobs" in socket.recv(timeout=20)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:8000"])
def test_an_api_that_needs_no_key_answers_to_no_name_but_loopback(platform: Platform, host: str) -> None:
    with wire(platform) as client:
        client.send(f"GET /v1/jobs HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = client.answer()
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["type"]) == (421, "urn:holdfast:problem:misdirected-request")


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1", "[::1]:8000", "127.9.9.9:1"])
def test_it_answers_to_every_name_of_loopback(platform: Platform, host: str) -> None:
    with wire(platform) as client:
        client.send(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert client.answer().status_code == 200
