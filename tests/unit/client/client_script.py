"""Scripted answers to the client, and a clock that only its sleeping moves."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from holdfast.client import (
    Holdfast,
    Patience,
)
from holdfast.client.wire import Wire

Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Script:
    """Answers requests in the given order (the last answer for ever), and keeps a clock that only sleeping moves."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []
        self.now = 1000.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def client(self, patience: Patience | None = None, api_key: str | None = None) -> Holdfast:
        wire = Wire(
            "http://api.test/",
            api_key,
            patience or Patience(),
            transport=httpx.MockTransport(self),
            sleep=self.sleep,
            clock=lambda: self.now,
            draw=lambda: 0.5,
        )
        return Holdfast(wire=wire)

    @property
    def keys(self) -> list[str | None]:
        return [request.headers.get("Idempotency-Key") for request in self.requests]


def job(state: str = "queued", **changes: Any) -> dict[str, Any]:
    return {
        "id": "019a-1",
        "kind": "pdf.render",
        "state": state,
        "priority": 12,
        "attempt": 1,
        "max_attempts": 6,
        "idempotency_key": "k",
        "tags": [],
        "created_at": "2026-05-01T12:00:00Z",
        "links": {"self": "/v1/jobs/019a-1", "attempts": "/v1/jobs/019a-1/attempts", "artifacts": []},
    } | changes


def accepted(**changes: Any) -> httpx.Response:
    return httpx.Response(202, json=job(**changes))


def problem(status: int, retry_after: str | None = None, **fields: Any) -> httpx.Response:
    headers = {"Content-Type": "application/problem+json"} | ({"Retry-After": retry_after} if retry_after else {})
    body = {"type": "https://holdfast.example/problems/x", "title": "Refused", "status": status} | fields
    return httpx.Response(status, headers=headers, content=json.dumps(body))
