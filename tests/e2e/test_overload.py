"""Overload is refused early: the less urgent first, before any write, and what was accepted ends.

Nothing here measures time. How fast the answers are is shown by `make overload`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from sqlalchemy import make_url

from harness import Platform, eventually
from holdfast.domain.concurrency import BURST
from holdfast.settings import Settings

NOOP: dict[str, Any] = {"kind": "test.noop", "payload": {}}
PRIORITIES = ("low", "default", "high")
CROWD = int(BURST) + 22


@pytest.fixture
def platform(own_settings: Settings, tmp_path: Path) -> Iterator[Platform]:
    """An api whose queues may hold forty jobs: twenty for `low`, thirty for `default`. No worker runs."""
    running = Platform(own_settings.model_copy(update={"backlog_jobs": 40}), tmp_path)
    running.start("api")
    running.wait_ready()
    yield running
    running.stop_all()


def post(api: httpx.Client, priority: str, key: str) -> httpx.Response:
    return api.post("/v1/jobs", json=NOOP | {"priority": priority}, headers={"Idempotency-Key": key})


def refused(api: httpx.Client) -> list[str]:
    """Which priorities are refused now. A probe is one job, however often it is sent."""
    return [priority for priority in PRIORITIES if post(api, priority, f"probe-{priority}").status_code == 503]


def dsn(platform: Platform) -> str:
    url = make_url(platform.settings.postgres_url.get_secret_value())
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def accepted(api: httpx.Client) -> set[str]:
    found = api.get("/v1/jobs", params={"limit": 200}).json()["jobs"]
    return {job["id"] for job in found}


def test_the_less_urgent_are_refused_first_before_any_write_and_what_was_accepted_ends(platform: Platform) -> None:
    with platform.client() as api:
        ids = {post(api, priority, f"probe-{priority}").json()["id"] for priority in PRIORITIES}
        outcomes = api.post("/v1/jobs/batch", json={"jobs": [NOOP] * 22}).json()["outcomes"]
        ids |= {outcome["job"]["id"] for outcome in outcomes}
        assert len(ids) == 25
        eventually(lambda: refused(api), lambda seen: seen == ["low"])
        more = api.post("/v1/jobs/batch", json={"jobs": [NOOP] * 7}).json()["outcomes"]
        ids |= {outcome["job"]["id"] for outcome in more}
        eventually(lambda: refused(api), lambda seen: seen == ["low", "default"])

        wrong = {"kind": "test.noop", "payload": {"no": "such field"}, "priority": "low"}
        answer = eventually(  # the refusals above began with thirty
            lambda: api.post("/v1/jobs", json=wrong, headers={"Idempotency-Key": "refused"}),
            lambda seen: seen.json().get("ready") == 32,
        )
        assert answer.status_code == 503, "there is no room: the payload is not even looked at"
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert document["type"] == "urn:holdfast:problem:backlog-full"
        assert (document["queue"], document["priority"], document["ready"]) == ("custom", "low", 32)
        assert int(answer.headers["retry-after"]) == document["retry_after"] == 60, "no worker ever took one"
        mixed = api.post("/v1/jobs/batch", json={"jobs": [NOOP | {"priority": "high"}, NOOP]}).json()["outcomes"]
        assert [outcome["status"] for outcome in mixed] == [202, 503]
        ids.add(mixed[0]["job"]["id"])
        later = api.post("/v1/jobs", json=NOOP | {"delay": 3600})
        assert later.status_code == 202, "what is due when the backlog may be gone is no part of it"
        assert accepted(api) == ids | {later.json()["id"]}

        platform.start("worker-webhook")
        eventually(lambda: refused(api), lambda seen: seen == [], within=120)
        assert post(api, "low", "refused").json()["id"] not in ids, "the refused key was held by nobody"
        for job_id in ids:
            assert api.get(f"/v1/jobs/{job_id}", params={"wait": 30}).json()["state"] == "succeeded"


async def test_more_than_an_api_can_have_under_way_is_refused_at_once_and_the_rest_is_accepted(
    platform: Platform,
) -> None:
    """A ledger that hangs stands in for an overload: what is let in stays under way for as long as it does."""
    keys = [f"crowd-{number}" for number in range(CROWD)]
    limits = httpx.Limits(max_connections=CROWD + 10)
    ledger = await asyncpg.connect(dsn(platform))
    async with httpx.AsyncClient(base_url=platform.url, timeout=30, limits=limits) as api:
        async with ledger.transaction():
            await ledger.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
            asked = [
                asyncio.create_task(api.post("/v1/jobs", json=NOOP, headers={"Idempotency-Key": key})) for key in keys
            ]
            done: set[asyncio.Task[httpx.Response]] = set()
            while len(done) < CROWD - BURST:
                assert len(done) < CROWD, "nothing was let in"
                fresh, _ = await asyncio.wait(set(asked) - done, timeout=20, return_when=asyncio.FIRST_COMPLETED)
                assert fresh, f"only {len(done)} of {CROWD} were refused"
                done |= fresh
            assert (await api.get("/healthz")).status_code == 200, "probes get through"
        answers = dict(zip(keys, await asyncio.gather(*asked), strict=True))
        told = (await api.get("/metrics")).text
    refused = {key for key, answer in answers.items() if answer.status_code == 503}
    assert len(refused) >= CROWD - BURST
    assert f'holdfast_jobs_refused_total{{kind="other",reason="overload"}} {float(len(refused))}' in told
    assert {answers[key].json()["type"] for key in refused} == {"urn:holdfast:problem:overloaded"}
    assert all(int(answers[key].headers["Retry-After"]) >= 1 for key in refused)
    assert {answer.status_code for key, answer in answers.items() if key not in refused} == {202}
    rows = await ledger.fetch("SELECT idempotency_key FROM jobs")
    await ledger.close()
    assert {row["idempotency_key"] for row in rows} == set(keys) - refused
