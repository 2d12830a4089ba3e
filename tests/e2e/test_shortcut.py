"""The shortcut past FastAPI answers as FastAPI does, whatever is sent."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from holdfast.api.app import create
from holdfast.api.shortcut import Shortcut
from holdfast.settings import Settings

JSON = {"Content-Type": "application/json"}
JOB = '{"kind": "webhook.dispatch", "payload": {"url": "https://example.com/hook", "body": {"order": 1}}%s}'
PLAIN = JOB % ""
OF_ONE = {"x-request-id", "content-length"}
"""Headers that differ from request to request: a time has as many digits as it needs."""
CASES: dict[str, tuple[str, dict[str, str], str | bytes]] = {
    "a job": ("/v1/jobs", JSON, PLAIN),
    "all that a job can say": (
        "/v1/jobs",
        JSON,
        JOB % ', "priority": "high", "delay": 60, "tags": ["a"], "callback_url": "https://example.com/done"',
    ),
    "a job with a key": ("/v1/jobs", JSON | {"Idempotency-Key": "order-1"}, PLAIN),
    "the same job again": ("/v1/jobs", JSON | {"Idempotency-Key": "order-1"}, PLAIN),
    "another job with its key": ("/v1/jobs", JSON | {"Idempotency-Key": "order-1"}, JOB % ', "priority": 3'),
    "a key with a space": ("/v1/jobs", JSON | {"Idempotency-Key": "order 1"}, PLAIN),
    "an empty key": ("/v1/jobs", JSON | {"Idempotency-Key": ""}, PLAIN),
    "a charset": ("/v1/jobs", {"Content-Type": "application/json; charset=utf-8"}, PLAIN),
    "no content type": ("/v1/jobs", {}, PLAIN),
    "text": ("/v1/jobs", {"Content-Type": "text/plain"}, PLAIN),
    "no body": ("/v1/jobs", JSON, ""),
    "half a body": ("/v1/jobs", JSON, PLAIN[:30]),
    "a list": ("/v1/jobs", JSON, "[]"),
    "an unknown kind": ("/v1/jobs", JSON, '{"kind": "no.such", "payload": {}}'),
    "an unknown field": ("/v1/jobs", JSON, JOB % ', "prority": 3'),
    "a payload that does not fit": ("/v1/jobs", JSON, '{"kind": "webhook.dispatch", "payload": {"url": 7}}'),
    "not a number": ("/v1/jobs", JSON, JOB % ', "delay": NaN'),
    "half a surrogate pair": ("/v1/jobs", JSON, JOB % ', "tags": ["\\ud800"]'),
    "NUL in a tag": ("/v1/jobs", JSON, JOB % ', "tags": ["\\u0000"]'),
    "too deep": ("/v1/jobs", JSON, '{"kind": "x", "payload": {"a": ' + "[" * 70 + "]" * 70 + "}}"),
    "a query": ("/v1/jobs?x=1", JSON, PLAIN),
    "NUL in the query": ("/v1/jobs?x=%00", JSON, PLAIN),
    "a wrong key of the api": ("/v1/jobs", JSON | {"Authorization": "Bearer hf_nobody"}, PLAIN),
    "a slash too many": ("/v1/jobs/", JSON, PLAIN),
    "a batch": ("/v1/jobs/batch", JSON, f'{{"jobs": [{PLAIN}, {{"kind": "no.such", "payload": {{}}}}]}}'),
    "a large batch": ("/v1/jobs/batch", JSON, f'{{"jobs": [{", ".join([PLAIN] * 100)}]}}'),
    "an empty batch": ("/v1/jobs/batch", JSON, '{"jobs": []}'),
    "a batch with a wrong job": ("/v1/jobs/batch", JSON, f'{{"jobs": [{PLAIN}, {{"kind": 1}}]}}'),
}


@asynccontextmanager
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as made:
            yield made


async def answers(settings: Settings) -> dict[str, tuple[int, dict[str, Any], str]]:
    """What each case is answered with, without what differs from request to request."""
    found = {}
    async with client(create(settings.model_copy(update={"steward_in_api": False}))) as api:
        for name, (path, headers, body) in CASES.items():
            answer = await api.post(path, headers=headers, content=body)
            said = {key: alike(value) for key, value in answer.headers.items() if key not in OF_ONE}
            found[name] = answer.status_code, said, alike(answer.text)
    return found


def alike(text: str) -> str:
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}", "ID", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)|;r=\d+;t=\d+", "THEN", text)


async def past(self: Shortcut, scope: Scope, receive: Receive, send: Send) -> None:
    await self._app(scope, receive, send)


async def test_the_shortcut_answers_as_the_long_way_does(
    module_settings: Settings, own_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = await answers(module_settings)
    monkeypatch.setattr(Shortcut, "__call__", past)
    long = await answers(own_settings)
    assert short == long
    assert {name: status for name, (status, _, _) in short.items() if status < 300} == {
        **dict.fromkeys(("a job", "all that a job can say", "a job with a key", "the same job again"), 202),
        **dict.fromkeys(("a charset", "a query"), 202),
        **dict.fromkeys(("a batch", "a large batch"), 207),
    }
