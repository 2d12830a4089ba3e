"""A sick webhook host, two real worker processes and one Redis: what one of them finds out, both know."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr

from harness import Platform, eventually
from holdfast.adapters.redis.breakers import RedisBreakers
from holdfast.adapters.redis.link import RedisLink
from holdfast.domain.circuit import CircuitState
from holdfast.domain.downstream import Forced, Override
from holdfast.domain.downstream_policy import Policies
from holdfast.settings import Settings

T = TypeVar("T")

DATABASE = 7
"""Of Redis: nobody else's."""
PROBES = 2
DOWNSTREAMS = {
    "webhook:*": {
        "least_calls": 6, "open": 20, "open_most": 20, "jitter_share": 0, "probes": PROBES,
        "ramp_share": [0.5], "ramp_step": 0.5, "concurrency": 200,
    }
}  # fmt: skip


class Host:
    """A webhook host that is well or answers 503."""

    def __init__(self) -> None:
        self.well = False
        self.calls: list[float] = []
        outer = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.calls.append(time.monotonic())
                self.rfile.read(int(self.headers.get("content-length", 0)))
                self.send_response(204 if outer.well else 503)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def name(self) -> str:
        return f"webhook:127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def host() -> Iterator[Host]:
    found = Host()
    yield found
    found.close()


@pytest.fixture(scope="module")
def pool(
    services: dict[str, str],
    fresh_settings: Callable[[dict[str, str], Path], AbstractContextManager[Settings]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Platform]:
    """An api and two worker-webhooks."""
    with fresh_settings(services, tmp_path_factory.mktemp("artifacts")) as settings:
        redis = urlsplit(services["HOLDFAST_REDIS_URL"])._replace(path=f"/{DATABASE}").geturl()
        mine = settings.model_copy(update={"redis_url": SecretStr(redis), "downstreams": DOWNSTREAMS})
        asking(mine, _flush)
        running = Platform(mine, tmp_path_factory.mktemp("pool"))
        try:
            running.start("api")
            for name in ("worker-one", "worker-two"):
                running.start(name, command="worker-webhook")
            running.wait_ready()
            yield running
        finally:
            running.stop_all()


async def _flush(breakers: RedisBreakers) -> None:
    await breakers._redis.flushdb()


def asking(settings: Settings, question: Callable[[RedisBreakers], Coroutine[Any, Any, T]]) -> T:
    """Ask the shared breakers."""

    async def ask() -> T:
        link = RedisLink(settings.redis_url.get_secret_value(), timeout=5.0)
        try:
            return await question(RedisBreakers(link, Policies(settings.downstreams)))
        finally:
            await link.close()

    return asyncio.run(ask())


def post(client: httpx.Client, host: Host, count: int, **fields: Any) -> list[str]:
    """Submit so many webhooks; their ids."""
    payload = {"url": f"http://127.0.0.1:{host.port}/", "body": {"n": 1}}
    made = [
        client.post("/v1/jobs", json={"kind": "webhook.dispatch", "payload": payload, **fields}) for _ in range(count)
    ]
    return [response.raise_for_status().json()["id"] for response in made]


def attempts(client: httpx.Client, job_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"/v1/jobs/{job_id}/attempts").json()["attempts"]
    return found


def moves(pool: Platform, name: str) -> list[str]:
    """The states that the breaker moved to, in the order of time, by the logs of both workers."""
    lines = [line for member in pool.members.values() for line in member.log.read_text().splitlines()]
    events = [json.loads(line) for line in lines if '"breaker_moved"' in line]
    mine = [event for event in events if event["downstream"] == name]
    return [event["after"] for event in sorted(mine, key=lambda event: event["timestamp"])]


def test_what_one_worker_finds_out_stops_the_other_and_nothing_is_lost(pool: Platform, host: Host) -> None:
    with pool.client() as client:
        first = post(client, host, 16)
        eventually(
            lambda: asking(pool.settings, lambda breakers: breakers.look(host.name)).state,
            lambda state: state is CircuitState.OPEN,
        )
        eventually(lambda: {job["state"] for job in _jobs(client, first)}, lambda seen: seen == {"waiting"})
        reached = len(host.calls)
        later = post(client, host, 30)
        seen = eventually(
            lambda: [attempts(client, job_id) for job_id in later],
            lambda found: all(len(one) == 1 and one[0]["state"] == "parked" for one in found),
            within=15.0,
        )
        assert len(host.calls) == reached, "nobody called it once it was open"
        assert len({one[0]["worker"] for one in seen}) == 2, "both workers met it"
        assert any("circuit breaker is open" in one[0]["detail"]["parked"] for one in seen)
        assert moves(pool, host.name) == ["open"], "one worker moved it, and one alone says so"

        eventually(lambda: moves(pool, host.name)[1:], lambda seen: seen[:2] == ["half_open", "open"])
        probed = len(host.calls) - reached
        assert 0 < probed <= PROBES * moves(pool, host.name).count("half_open"), "only probes reach it while it is sick"

        host.well = True
        done = eventually(
            lambda: [job["state"] for job in _jobs(client, first + later)],
            lambda states: set(states) == {"succeeded"},
            within=150.0,
            every=0.5,
        )
        assert len(done) == 46
        assert max(one["parked"] for job_id in later for one in attempts(client, job_id)) >= 1
        for job_id in later:  # one that was a probe meanwhile has failed in between
            states = [one["state"] for one in attempts(client, job_id)]
            assert ("parked", "parked") not in pairwise(states), "parked attempts are one row"


def test_a_job_whose_deadline_passes_while_it_is_parked_has_expired(pool: Platform, host: Host) -> None:
    async def stop(breakers: RedisBreakers) -> None:
        now = await breakers.now()
        await breakers.override(host.name, Override(Forced.OPEN, now + 60_000, "maintenance", "ada", now))

    asking(pool.settings, stop)
    deadline = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    with pool.client() as client:
        [job_id] = post(client, host, 1, deadline=deadline)
        job = eventually(lambda: client.get(f"/v1/jobs/{job_id}").json(), lambda job: job["state"] == "dead")
        assert job["failure"]["reason"] == "expired"
        assert host.calls == []


def test_the_workers_are_known_with_what_they_do(pool: Platform) -> None:
    alive = asking(pool.settings, lambda breakers: breakers.workers())
    assert [(worker.pool, worker.concurrency) for worker in alive] == [("webhook", 100)] * 2
    assert len({worker.instance for worker in alive}) == 2


def _jobs(client: httpx.Client, ids: list[str]) -> list[dict[str, Any]]:
    return [client.get(f"/v1/jobs/{job_id}").json() for job_id in ids]
