"""A broker that lost tickets, a ledger from an old backup, a Redis that forgot: nothing is lost, nothing runs twice."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import httpx
import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from receiver import Receiver
from sqlalchemy import make_url

from harness import PROGRAM, Platform, eventually, psql
from holdfast.adapters.rabbitmq.connection import connect
from holdfast.domain.job import ENDED
from holdfast.settings import Settings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def alone(own_settings: Settings, tmp_path: Path) -> Iterator[Platform]:
    """An api that is steward, without workers, whose Redis nobody else uses."""
    redis_url = own_settings.redis_url.get_secret_value().rpartition("/")[0] + "/9"
    settings = own_settings.model_copy(update={"redis_url": SecretStr(redis_url), "conserve_every": 1.0})
    running = Platform(settings, tmp_path)
    redis.Redis.from_url(redis_url).flushdb()
    try:
        running.start("api")
        running.wait_ready()
        yield running
    finally:
        running.stop_all()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as running:
        yield running


def post(platform: Platform, url: str, key: str | None = None) -> httpx.Response:
    body = {"kind": "webhook.dispatch", "payload": {"url": url, "body": {}, "secret": SECRET}}
    with platform.client() as client:
        response = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": key} if key else {})
    assert response.status_code == 202, response.text
    return response


def metrics(platform: Platform) -> dict[str, float]:
    """Every sample of `/metrics`, as `name{a=b}`."""
    text = httpx.get(f"{platform.url}/metrics", timeout=60).text
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ended(platform: Platform, job_id: str) -> dict[str, Any]:
    with platform.client() as client:
        return eventually(
            lambda: client.get(f"/v1/jobs/{job_id}", params={"wait": 5}).json(),
            lambda job: job["state"] in ENDED,
            within=40,
        )


def channel_of(platform: Platform) -> amqp.Channel:
    return connect(platform.settings.rabbitmq_url.get_secret_value(), name="test").channel()


def run(platform: Platform, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = platform._environment(platform.folder / "none", {}) | settings
    return subprocess.run(
        [PROGRAM, *command], env=environment, capture_output=True, text=True, check=False, timeout=180
    )


def verdicts(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in json.loads(done.stdout)["checks"]}


def test_tickets_that_the_broker_lost_are_found_and_written_anew_without_a_human(
    alone: Platform, receiver: Receiver
) -> None:
    jobs = [post(alone, receiver.url).json()["id"] for _ in range(7)]
    eventually(lambda: metrics(alone).get("holdfast_outbox_rows"), lambda rows: rows == 0)
    channel = channel_of(alone)
    assert channel.queue_purge("holdfast.webhook") == 7
    gone = "holdfast_jobs_unaccounted{queue=webhook}"
    eventually(lambda: metrics(alone).get(gone, 0), within=90)
    replaced = "holdfast_tickets_replaced_total{queue=webhook}"
    eventually(lambda: metrics(alone).get(replaced, 0), lambda count: count == 7, within=90)
    eventually(lambda: metrics(alone).get(gone), lambda left: left == 0)
    eventually(lambda: channel.queue_declare("holdfast.webhook", passive=True).message_count)
    channel.connection.close()
    alone.start("worker-webhook")
    alone.wait_ready("worker-webhook")
    assert {ended(alone, job_id)["state"] for job_id in jobs} == {"succeeded"}
    assert len(receiver.received) == 7


def test_a_ledger_from_an_old_backup_files_the_tickets_it_does_not_know_and_takes_their_keys_anew(
    alone: Platform, receiver: Receiver
) -> None:
    before = post(alone, receiver.url, key="order-1").json()["id"]
    url = make_url(alone.settings.postgres_url.get_secret_value())
    eventually(lambda: metrics(alone).get("holdfast_outbox_rows"), lambda rows: rows == 0)
    psql(url, "DELETE FROM jobs")
    look = run(alone, "reconcile", "--json")
    assert {step["name"]: step["found"] for step in map(json.loads, look.stdout.splitlines())}["gate"] == 1, look
    assert "--yes" in look.stderr
    alone.start("worker-webhook")
    alone.wait_ready("worker-webhook")
    with alone.client() as client:
        letters = eventually(lambda: client.get("/v1/dead-letters").json()["dead_letters"])
    assert [(letter["reason"], letter["job_id"]) for letter in letters] == [("unparseable", before)]
    again = post(alone, receiver.url, key="order-1")
    assert again.json()["id"] != before
    assert "Idempotent-Replayed" not in again.headers
    assert ended(alone, again.json()["id"])["state"] == "succeeded"
    assert post(alone, receiver.url, key="order-1").json()["id"] == again.json()["id"]


def test_a_redis_that_forgot_everything_makes_no_second_job(alone: Platform, receiver: Receiver) -> None:
    first = post(alone, receiver.url, key="order-2").json()["id"]
    redis.Redis.from_url(alone.settings.redis_url.get_secret_value()).flushdb()
    second = post(alone, receiver.url, key="order-2")
    assert second.json()["id"] == first
    assert second.headers["Idempotent-Replayed"] == "true"


def test_the_doctor_finds_a_running_platform_well_and_names_what_is_down(alone: Platform) -> None:
    # Once the api has been elected steward, and has declared the queues.
    well = eventually(lambda: run(alone, "doctor", "--json"), lambda done: done.returncode == 0, within=120)
    found = verdicts(well)
    assert found.pop("consumers") == "warn", "no worker runs"
    assert set(found.values()) == {"ok"}
    nowhere = {
        "HOLDFAST_REDIS_URL": "redis://127.0.0.1:1/0",
        "HOLDFAST_RABBITMQ_URL": "amqp://holdfast:holdfast@127.0.0.1:1/",
    }
    ill = run(alone, "doctor", "--json", **nowhere)
    assert ill.returncode == 1
    assert {name for name, verdict in verdicts(ill).items() if verdict == "fail"} >= {"redis", "rabbitmq"}
    ill = run(alone, "doctor", HOLDFAST_POSTGRES_URL="postgresql+asyncpg://h:h@127.0.0.1:1/h")
    assert ill.returncode == 1
    assert "HOLDFAST_POSTGRES_URL" in ill.stdout
    assert "Traceback" not in ill.stderr


def test_reconcile_repairs_without_a_steward(own_settings: Settings, tmp_path: Path, receiver: Receiver) -> None:
    settings = own_settings.model_copy(update={"steward_in_api": False, "retain_succeeded_days": 7.0})
    platform = Platform(settings, tmp_path)
    try:
        platform.start("api")
        platform.wait_ready()
        assert run(platform, "topology", "apply").returncode == 0
        jobs = [post(platform, receiver.url).json()["id"] for _ in range(3)]
        url = make_url(settings.postgres_url.get_secret_value())
        channel = channel_of(platform)
        lost: list[int] = []
        eventually(lambda: lost.append(channel.queue_purge("holdfast.webhook")), lambda _: sum(lost) == 3)
        psql(url, "DELETE FROM outbox; UPDATE jobs SET since = since - interval '1 hour'")
        platform.start("worker-webhook")
        platform.wait_ready("worker-webhook")
        done = run(platform, "reconcile", "--yes")
        assert "3 tickets written anew" in done.stdout, done.stdout
        assert {ended(platform, job_id)["state"] for job_id in jobs} == {"succeeded"}
    finally:
        platform.stop_all()


def test_a_retention_that_would_break_the_promise_of_the_keys_is_refused() -> None:
    environment = os.environ | {"HOLDFAST_RETAIN_SUCCEEDED_DAYS": "0.5"}
    done = subprocess.run([PROGRAM, "doctor"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "HOLDFAST_RETAIN_SUCCEEDED_DAYS" in done.stderr
    assert "24 hours" in done.stderr
