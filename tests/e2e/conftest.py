"""A receiver that the workers can reach, and shortcuts to submit and wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from receiver import Receiver

from harness import JobCall, Platform
from holdfast.domain.job import ENDED

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def api(platform: Platform) -> Iterator[httpx.Client]:
    with platform.client() as client:
        yield client


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as running:
        yield running


@pytest.fixture
def submit(api: httpx.Client) -> JobCall:
    """Post a job; return its JSON."""

    def post(kind: str, payload: dict[str, Any], key: str | None = None, **fields: Any) -> dict[str, Any]:
        headers = {"Idempotency-Key": key} if key else {}
        response = api.post("/v1/jobs", json={"kind": kind, "payload": payload, **fields}, headers=headers)
        assert response.status_code == 202, response.text
        job: dict[str, Any] = response.json()
        return job

    return post


@pytest.fixture
def wait(api: httpx.Client) -> JobCall:
    """Wait until a job has ended; return its JSON."""

    def until_ended(job: dict[str, Any], within: float = 60.0) -> dict[str, Any]:
        left = within
        while True:
            ended: dict[str, Any] = api.get(f"/v1/jobs/{job['id']}", params={"wait": min(left, 30.0)}).json()
            left -= 30.0
            if ended["state"] in ENDED:
                return ended
            assert left > 0, f"not ended within {within:g} s: {ended}"

    return until_ended
