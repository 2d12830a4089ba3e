"""RabbitMQ, Redis or Postgres goes away under a running platform, and comes back.

The services are a sandbox of this module's own, because it stops, kills and freezes them. The platform's processes
are the same before, during and after: nothing is restarted but the service.

    away        submits                          jobs that run                     afterwards
    RabbitMQ    202, up to `outbox_limit` rows   end; their redelivery is refused  the steward publishes the outbox
    its memory  202                              end                               the same
    Redis       202, Postgres tells keys apart   do not notice                     the gate is asked again
    Postgres    503 with Retry-After             wait to be settled                are settled; nothing ran twice
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
from receiver import Receiver, new_secret
from slow_receiver import SlowReceiver

from harness import Platform, eventually, free_port
from holdfast.domain.job import ENDED
from holdfast.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = os.environ.get("HOLDFAST_SANDBOX_CACHE") or str(
    Path(os.environ.get("HOLDFAST_HOME") or REPOSITORY / ".holdfast") / "cache"
)
"""The packages of the developer's own sandbox."""
SETTLED = 2.0
"""Seconds after its first declaration before which a `kill -9` costs a quorum queue its messages (RabbitMQ 4.3.6)."""
STATEMENT = 1.0
"""Longest statement, in seconds (10 by default), so that a Postgres that hangs is found out soon."""
REDIS = 0.5
"""Longest command to Redis, in seconds: the default, which the other tests give more time."""
PROMPT = 2.0
"""Seconds within which a request is answered, whatever is away; the machine may hold one or another up for longer."""


class Sandbox:
    """`python3 infra/sandbox …` on a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __call__(self, *arguments: str) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HOLDFAST_")}
        done = subprocess.run(
            [sys.executable, str(REPOSITORY / "infra" / "sandbox"), *arguments],
            env={**inherited, "HOLDFAST_HOME": str(self.home), "HOLDFAST_SANDBOX_CACHE": CACHE},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def addresses(self) -> dict[str, str]:
        lines = (self.home / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if line.startswith("HOLDFAST_"))

    @contextmanager
    def away(self, service: str, *, how: str = "stop") -> Iterator[None]:
        """Stop or kill the service, and start it again."""
        self(how, service)
        try:
            yield
        finally:
            self("start", service)

    @contextmanager
    def frozen(self, service: str, program: str) -> Iterator[None]:
        """SIGSTOP: it takes connections and answers nothing."""
        pid = int((self.home / "run" / f"{service}.json").read_text().split('"pid": ')[1].split(",")[0])
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        stopped = []
        for process in family:
            with suppress(psutil.NoSuchProcess):  # a child of Postgres may end at any time
                if program in process.name():
                    process.suspend()
                    stopped.append(process)
        assert stopped, f"no {program} among {family}"
        try:
            yield
        finally:
            for process in stopped:
                process.resume()

    @contextmanager
    def memory_alarm(self) -> Iterator[None]:
        """RabbitMQ blocks every connection that publishes."""
        watermark = ("exec", "rabbitmqctl", "set_vm_memory_high_watermark")
        self(*watermark, "absolute", "1MB")
        try:
            yield
        finally:
            self(*watermark, "0.4")


class World:
    """A platform on the sandbox, and how a client sees it."""

    def __init__(self, sandbox: Sandbox, platform: Platform, receiver: Receiver) -> None:
        self.sandbox, self.platform, self.receiver = sandbox, platform, receiver
        self.client = platform.client()
        self.took: list[float] = []
        """Seconds until each answer."""

    def post(
        self, key: str | None = None, *, to: str = "", base: str = "", within: float = 30.0, **fields: Any
    ) -> httpx.Response:
        """Submit a webhook; there is an answer, whatever it is."""
        key = key or str(uuid4())
        secret = None if to else self.receiver.secret
        payload = {"url": to or self.receiver.url, "body": {"key": key}} | ({"secret": secret} if secret else {})
        begun = time.monotonic()
        response = self.client.post(
            f"{base}/v1/jobs",
            json={"kind": "webhook.dispatch", "payload": payload, **fields},
            headers={"Idempotency-Key": key},
        )
        self.took.append(time.monotonic() - begun)
        assert self.took[-1] < within, f"{response.status_code} after {self.took[-1]:.1f} s"
        return response

    @contextmanager
    def promptly(self) -> Iterator[None]:
        """Most of what is submitted meanwhile is answered promptly."""
        before = len(self.took)
        yield
        assert median(self.took[before:]) < PROMPT, self.took[before:]

    def accepted(self, count: int, **fields: Any) -> list[str]:
        """Submit that many; each is accepted, and where there are several, promptly."""
        ids = []
        with self.promptly() if count >= 5 else nullcontext():
            for _ in range(count):
                response = self.post(**fields)
                assert response.status_code == 202, response.text
                ids.append(response.json()["id"])
        return ids

    def ready(self) -> dict[str, Any]:
        response = self.client.get("/readyz")
        return response.json() | {"http": response.status_code}

    def job(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(f"/v1/jobs/{job_id}").json()
        return found

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(f"/v1/jobs/{job_id}/attempts").json()["attempts"]
        return found

    def all_end_once(self, ids: list[str], within: float = 60.0) -> None:
        """Every job succeeds in its first attempt, and the receiver has each webhook once."""
        for job_id in ids:
            job = eventually(lambda j=job_id: self.job(j), lambda job: job["state"] in ENDED, within=within)
            assert (job["state"], job["attempt"]) == ("succeeded", 1), job
        seen = {job_id: self.receiver.deliveries[f"msg_{job_id.replace('-', '')}"] for job_id in ids}
        assert set(seen.values()) == {1}, seen

    def recovered(self) -> None:
        """By themselves: the same processes are alive and everything is ready."""
        eventually(self.ready, lambda ready: ready["status"] == "ok")
        assert all(member.alive for member in self.platform.members.values())


@pytest.fixture(scope="module")
def sandbox(services: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Skips where the run's own services are missing: there is no sandbox to copy then."""
    found = Sandbox(tmp_path_factory.mktemp("outages") / "home")
    try:
        found("up", "--services", "rabbitmq,redis,postgres")
        yield found
    finally:
        found("wipe")


@pytest.fixture(scope="module")
def world(
    sandbox: Sandbox,
    fresh_settings: Callable[[dict[str, str], Path], AbstractContextManager[Settings]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("platform")
    with fresh_settings(sandbox.addresses(), folder / "artifacts") as settings, Receiver(new_secret()) as receiver:
        soon = {"postgres_timeout": STATEMENT, "redis_timeout": REDIS}
        platform = Platform(settings.model_copy(update=soon), folder)
        try:
            platform.start("api")
            platform.start("worker-webhook")
            platform.wait_ready()
            time.sleep(SETTLED)  # a fact of the broker, which no condition shows
            yield World(sandbox, platform, receiver)
        finally:
            platform.stop_all()


@pytest.fixture
def healthy(world: World) -> Iterator[World]:
    """The platform, well at the beginning, and well again at the end."""
    world.recovered()
    yield world
    world.recovered()


@pytest.fixture
def held(slow: SlowReceiver, healthy: World) -> tuple[SlowReceiver, str]:
    """A job in the middle of its effect."""
    job_id = healthy.post(to=slow.url).json()["id"]
    eventually(slow.deliveries.total)
    return slow, job_id


# -- RabbitMQ -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_without_rabbitmq_jobs_are_accepted_and_run_when_it_is_back(healthy: World, how: str) -> None:
    before = healthy.accepted(5)
    with healthy.sandbox.away("rabbitmq", how=how):
        ids = healthy.accepted(20)
        ready = eventually(healthy.ready, lambda ready: ready["status"] == "degraded")
        assert (ready["http"], ready["dependencies"]["rabbitmq"]["ok"]) == (200, False)
    ids += healthy.accepted(1)
    healthy.all_end_once(before + ids)


def test_a_job_that_runs_while_rabbitmq_restarts_ends_once(healthy: World, held: tuple[SlowReceiver, str]) -> None:
    slow, job_id = held
    with healthy.sandbox.away("rabbitmq", how="kill"):
        slow.go.set()
        eventually(lambda: healthy.job(job_id), lambda job: job["state"] == "succeeded")
    healthy.all_end_once(healthy.accepted(1))  # behind it in the queue: its redelivery has been refused by now
    assert [(a["state"], a["deliveries"]) for a in healthy.attempts(job_id)] == [("succeeded", 1)]
    assert list(slow.deliveries.values()) == [1]


def test_past_the_bound_of_the_outbox_jobs_are_refused_and_none_is_lost(healthy: World) -> None:
    limit = 10
    port = free_port()
    bounded = healthy.platform.start("bounded", command="api", api_port=port, outbox_limit=limit, steward_in_api=False)
    base = f"http://127.0.0.1:{port}"
    try:
        eventually(lambda: answers(f"{base}/readyz"))
        ids: list[str] = []
        with healthy.sandbox.away("rabbitmq"):

            def refused() -> httpx.Response:
                response = healthy.post(base=base)
                if response.status_code == 202:
                    ids.append(response.json()["id"])
                return response

            response = eventually(refused, lambda seen: seen.status_code != 202)
            assert (response.status_code, response.json()["type"]) == (503, "urn:holdfast:problem:outbox-full")
            assert int(response.headers["retry-after"]) > 0
            assert len(ids) >= limit
        healthy.all_end_once(ids)
        eventually(lambda: healthy.post(base=base).status_code, lambda status: status == 202)
    finally:
        bounded.terminate()
        del healthy.platform.members["bounded"]


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url).status_code == 200
    return False


def test_in_a_memory_alarm_jobs_are_accepted_and_no_request_hangs(healthy: World) -> None:
    with healthy.sandbox.memory_alarm():
        ids = healthy.accepted(20)
        ready = eventually(healthy.ready, lambda ready: ready["status"] == "degraded")
        assert "alarm" in ready["dependencies"]["rabbitmq"]["error"]
        ids += healthy.accepted(5)
    healthy.all_end_once(ids)


def test_a_rabbitmq_that_hangs_costs_one_request_the_publish_timeout_and_the_others_nothing(healthy: World) -> None:
    with healthy.sandbox.frozen("rabbitmq", "beam.smp"):
        ids = healthy.accepted(1, within=healthy.platform.settings.publish_timeout + 15)
        ids += healthy.accepted(20)
        assert healthy.ready()["status"] == "degraded"
    healthy.all_end_once(ids)  # those that were on their way arrive twice, and run once


# -- Redis --------------------------------------------------------------------------------------------------------


def test_without_redis_one_key_still_makes_one_job(healthy: World) -> None:
    key = str(uuid4())
    with healthy.sandbox.away("redis"):
        first, second = healthy.post(key), healthy.post(key)
        assert (first.status_code, second.status_code) == (202, 202)
        assert (second.json()["id"], second.headers["idempotent-replayed"]) == (first.json()["id"], "true")
        assert healthy.ready()["status"] == "degraded"
        assert "gate_unavailable" in healthy.platform.members["api"].log.read_text()
    third = eventually(lambda: healthy.post(key), lambda seen: seen.status_code == 202)
    assert third.json()["id"] == first.json()["id"]
    healthy.all_end_once([first.json()["id"]])


def test_a_redis_that_hangs_costs_a_request_now_and_then_its_timeout_and_the_others_nothing(healthy: World) -> None:
    with healthy.sandbox.frozen("redis", "redis-server"):
        begun, slow, ids = time.monotonic(), 0, []
        while time.monotonic() < begun + 4.0:
            one = time.monotonic()
            ids += healthy.accepted(1)
            slow += time.monotonic() - one > 0.4
    assert len(ids) > 2 * slow, "only one that tries Redis again is slow"
    healthy.all_end_once(ids)


# -- Postgres -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_without_postgres_nothing_is_accepted_and_nothing_that_ran_runs_again(
    healthy: World, held: tuple[SlowReceiver, str], how: str
) -> None:
    slow, job_id = held
    with healthy.sandbox.away("postgres", how=how):
        with healthy.promptly():
            for _ in range(5):
                response = healthy.post()
                assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
                assert int(response.headers["retry-after"]) > 0
        assert healthy.ready()["http"] == 503
        slow.go.set()  # the effect is over while nobody can write it down
    assert healthy.post().status_code == 202, "the first request after the recovery"
    job = eventually(lambda: healthy.job(job_id), lambda job: job["state"] in ENDED)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert [(a["state"], a["deliveries"]) for a in healthy.attempts(job_id)] == [("succeeded", 1)]
    assert list(slow.deliveries.values()) == [1]
    healthy.all_end_once(healthy.accepted(5))


def test_a_postgres_that_hangs_is_given_up_and_found_again(healthy: World, held: tuple[SlowReceiver, str]) -> None:
    slow, job_id = held
    with healthy.sandbox.frozen("postgres", "postgres"):
        slow.go.set()
        for _ in range(3):
            assert healthy.post(within=20 * STATEMENT).status_code == 503
        assert healthy.ready()["http"] == 503
    healthy.recovered()
    eventually(lambda: healthy.job(job_id), lambda job: job["state"] == "succeeded")
    assert list(slow.deliveries.values()) == [1]
    healthy.all_end_once(healthy.accepted(5))


def test_the_steward_leads_again_after_postgres_was_away(healthy: World) -> None:
    log = healthy.platform.members["api"].log
    with healthy.sandbox.away("postgres", how="kill"):
        elections = log.read_text().count("steward_elected")
        eventually(lambda: log.read_text().count("steward_deposed"), lambda terms: terms >= elections)
    healthy.all_end_once(healthy.accepted(2, delay=0.2))  # which the steward promotes


def test_a_restart_of_postgres_that_nobody_saw_costs_no_request_its_answer(healthy: World) -> None:
    healthy.accepted(3)
    healthy.sandbox("restart", "postgres")
    healthy.all_end_once(healthy.accepted(10))


def test_tickets_that_arrive_while_postgres_is_away_wait_for_it(healthy: World) -> None:
    worker = healthy.platform.members["worker-webhook"].process.pid
    os.kill(worker, signal.SIGSTOP)  # so that the tickets are still in their queue when Postgres goes
    try:
        ids = healthy.accepted(10)
        healthy.sandbox("stop", "postgres")
    finally:
        os.kill(worker, signal.SIGCONT)
    log = healthy.platform.members["worker-webhook"].log
    eventually(lambda: "ledger_unavailable" in log.read_text())
    healthy.sandbox("start", "postgres")
    healthy.all_end_once(ids)
    assert {a["deliveries"] for job_id in ids for a in healthy.attempts(job_id)} == {1}
