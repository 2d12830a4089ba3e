"""The rate limits over HTTP, with two api processes that share them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
from typer.testing import CliRunner

from harness import Platform, eventually, free_port
from holdfast.cli.main import app
from holdfast.client import Holdfast, JobRequest, NotNow, Patience
from holdfast.domain.bucket import Rate
from holdfast.settings import Settings

NOOP = {"kind": "test.noop", "payload": {}}
HOURLY = Rate(10 / 3600, 100)
"""Nothing to speak of comes back during a test, so a process takes one token at a time."""


@dataclass(frozen=True)
class Apis:
    urls: list[str]
    key: str
    tenant: str

    def client(self, number: int = 0) -> httpx.Client:
        return httpx.Client(base_url=self.urls[number], headers={"Authorization": f"Bearer {self.key}"}, timeout=30)


@pytest.fixture(scope="module")
def platforms(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Platform]]:
    """Two apis with a rate for every tenant, and no limit of its own for any key."""
    limits = {"rate_limit_key": None, "rate_limit_tenant": HOURLY, "steward_in_api": False}
    made = [Platform(settings, tmp_path_factory.mktemp("api"), port=free_port()) for _ in range(2)]
    for platform in made:
        platform.start("api", **limits)
    for platform in made:
        platform.wait_ready()
    yield made
    for platform in made:
        platform.stop_all()


@pytest.fixture
def apis(platforms: list[Platform], monkeypatch: pytest.MonkeyPatch) -> Apis:
    """A tenant of the test's own."""
    tenant = f"tenant-{secrets.token_hex(4)}"
    monkeypatch.setenv("HOLDFAST_POSTGRES_URL", platforms[0].settings.postgres_url.get_secret_value())
    made = CliRunner().invoke(app, ["keys", "create", tenant, "--tenant", tenant])
    assert made.exit_code == 0
    return Apis([platform.url for platform in platforms], made.stdout.strip(), tenant)


def test_every_answer_tells_the_limit_and_past_it_comes_a_429_that_says_when(apis: Apis) -> None:
    with apis.client() as api:
        first = api.post("/v1/jobs", json=NOOP)
        assert first.status_code == 202
        assert first.headers["ratelimit-policy"] == '"tenant";q=100;w=36000'
        assert first.headers["ratelimit"] == '"tenant";r=99;t=1'
        batch = api.post("/v1/jobs/batch", json={"jobs": [NOOP] * 99})
        assert batch.headers["ratelimit"].startswith('"tenant";r=0;t=')
        refused = api.post("/v1/jobs", json=NOOP)
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        wait = int(refused.headers["retry-after"])
        assert 300 < wait <= 360
        assert refused.headers["ratelimit"] == f'"tenant";r=0;t={wait}'
        document = refused.json()
        assert document["type"] == "urn:holdfast:problem:rate-limited"
        assert (document["violated-policies"], document["retry_after"]) == (["tenant"], wait)


def test_a_batch_gets_as_many_jobs_in_as_there_are_tokens_and_each_job_has_its_outcome(apis: Apis) -> None:
    with apis.client() as api:
        outcomes = api.post("/v1/jobs/batch", json={"jobs": [NOOP] * 103}).json()["outcomes"]
        assert [outcome["status"] for outcome in outcomes] == [202] * 100 + [429] * 3
        assert outcomes[-1]["problem"]["retry_after"] > 900, "three tokens at ten an hour"
        assert len(api.get("/v1/jobs", params={"limit": 200}).json()["jobs"]) == 100
        assert api.post("/v1/jobs/batch", json={"jobs": [NOOP] * 3}).status_code == 429


def test_a_request_that_is_refused_or_wrong_costs_its_token_and_writes_nothing(apis: Apis) -> None:
    with apis.client() as api:
        assert api.post("/v1/jobs", json={"kind": "test.noop"}).status_code == 422
        key = {"Idempotency-Key": "again"}
        job = api.post("/v1/jobs", json=NOOP, headers=key).json()
        again = api.post("/v1/jobs", json=NOOP, headers=key)
        assert (again.json()["id"], again.headers["ratelimit"]) == (job["id"], '"tenant";r=97;t=1')
        api.post("/v1/jobs/batch", json={"jobs": [NOOP] * 97})
        assert api.post("/v1/jobs", json={"kind": "test.noop"}).status_code == 429, "asked before the body is looked at"
        assert api.post("/v1/jobs", json=NOOP, headers=key).status_code == 429, "a repetition counts like any request"
        assert api.get(f"/v1/jobs/{job['id']}").status_code == 200, "reads are not limited"


def test_two_apis_let_through_what_one_limit_allows(apis: Apis) -> None:
    def flood(number: int) -> int:
        with apis.client(number % 2) as api:
            return sum(api.post("/v1/jobs", json=NOOP).status_code == 202 for _ in range(30))

    with ThreadPoolExecutor(6) as pool:
        accepted = sum(pool.map(flood, range(6)))
    assert 98 <= accepted <= 100, "180 were sent; each process may hold one token that it does not spend"


def test_the_client_waits_as_long_as_it_is_told_and_says_so_when_that_is_too_long(apis: Apis) -> None:
    patience = Patience(total=2.0)
    with Holdfast(apis.urls[0], apis.key, patience=patience) as client:
        outcomes = client.batch([JobRequest(kind="test.noop", payload={}) for _ in range(101)])
        assert [outcome.status for outcome in outcomes] == [202] * 100 + [429]
        with pytest.raises(NotNow, match="429 Rate limited") as refused:
            client.submit("test.noop", {})
    assert refused.value.retry_after is not None and refused.value.retry_after > 300


def test_the_bucket_is_the_tenants_whichever_key_it_uses(apis: Apis, platforms: list[Platform]) -> None:
    other = CliRunner().invoke(app, ["keys", "create", f"{apis.tenant}-2", "--tenant", apis.tenant]).stdout.strip()
    with apis.client() as one, httpx.Client(base_url=apis.urls[1], timeout=30) as two:
        assert one.post("/v1/jobs/batch", json={"jobs": [NOOP] * 100}).status_code == 207
        headers = {"Authorization": f"Bearer {other}"}
        eventually(lambda: two.post("/v1/jobs", json=NOOP, headers=headers).status_code, lambda seen: seen == 429)
