"""The property of the issue: whatever the interleaving, k distinct keys make k jobs.

Through the real `Submit`, over real Postgres and real Redis, with two api replicas, duplicates, requests whose
bodies differ under one key, callers that hang up, and a gate that loses all it knew in the middle.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine_profiles import bounded
from pydantic import BaseModel
from redis.asyncio import Redis

from holdfast.adapters.memory.broker import MemoryBroker
from holdfast.adapters.postgres.database import Database
from holdfast.adapters.postgres.ledger import PostgresLedger
from holdfast.adapters.postgres.outbox import PostgresOutbox
from holdfast.adapters.redis import gate as redis_gate
from holdfast.adapters.redis.gate import RedisGate
from holdfast.adapters.redis.link import RedisLink
from holdfast.adapters.vault import FernetVault, new_key
from holdfast.domain.errors import IdempotencyMismatch, RequestInFlight
from holdfast.domain.request import JobRequest
from holdfast.engine.dispatch import Dispatch
from holdfast.engine.submit import Submission, Submit
from holdfast.ports.clock import SystemClock
from holdfast.ports.gate import Keyed
from holdfast.ports.handler import Handler
from holdfast.ports.ledger import JobQuery
from holdfast.settings import Settings
from ledger_world import make_request

HOLD = 0.3
"""Seconds: short, so that the hold of a caller that hung up is soon gone."""
KEYS = 5


class Anything(BaseModel):
    body: int


class AnyKind:
    """Implements `ports.handler.Kinds` with one kind, which is never run here."""

    kind: ClassVar[str] = "test.echo"
    queue: ClassVar[str] = "image"
    Payload: ClassVar[type[BaseModel]] = Anything

    def get(self, kind: str) -> Handler:
        return cast(Handler, self)

    def all(self) -> list[Handler]:
        return [cast(Handler, self)]


@dataclass(frozen=True)
class Call:
    """One request of a wave: which key, which body, to which replica, and how it behaves."""

    key: int
    body: int
    replica: int
    starts_after: int
    """Turns of the event loop."""
    hangs_up_after: int | None


@dataclass
class Replicas:
    """Two api processes that share Postgres and Redis."""

    runner: asyncio.Runner
    databases: list[Database]
    links: list[RedisLink]
    brokers: list[MemoryBroker]
    submits: list[Submit]
    dispatches: list[Dispatch]
    redis: Redis

    @classmethod
    def start(cls, settings: Settings) -> Replicas:
        url, redis = settings.postgres_url.get_secret_value(), settings.redis_url.get_secret_value()
        databases = [Database(url, pool=4) for _ in range(2)]
        links = [RedisLink(redis, timeout=5.0) for _ in range(2)]
        gates = [RedisGate(link, hold=HOLD, memory=600) for link in links]
        brokers = [MemoryBroker() for _ in range(2)]
        dispatches = [Dispatch(broker, PostgresOutbox(db)) for broker, db in zip(brokers, databases, strict=True)]
        submits = [
            Submit(PostgresLedger(db), gate, dispatch, AnyKind(), SystemClock(), FernetVault([new_key()]))
            for db, gate, dispatch in zip(databases, gates, dispatches, strict=True)
        ]
        return cls(asyncio.Runner(), databases, links, brokers, submits, dispatches, Redis.from_url(redis))

    async def stop(self) -> None:
        for link in self.links:
            await link.close()
        for database in self.databases:
            await database.close()
        await self.redis.aclose()


@pytest.fixture(scope="module")
def replicas(settings: Settings) -> Iterator[Replicas]:
    found = Replicas.start(settings)
    yield found
    found.runner.run(found.stop())
    found.runner.close()


class Scene:
    """One example: a tenant of its own, and every answer that its callers got."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas, self.tenant = replicas, f"tenant-{SystemClock().new_id()}"
        self.answers: dict[str, list[tuple[JobRequest, Submission]]] = defaultdict(list)
        self.asked: set[str] = set()

    def request(self, call: Call) -> JobRequest:
        return make_request(tenant=self.tenant, key=f"k{call.key}", payload={"body": call.body})

    async def play(self, waves: list[list[Call]], flush_after: list[int]) -> None:
        for number, wave in enumerate(waves):
            tasks = [asyncio.create_task(self.call(call)) for call in wave]
            hang_ups = [self.hang_up(task, call) for task, call in zip(tasks, wave, strict=True)]
            await asyncio.gather(*hang_ups, *([self.flush(flush_after[number])] if number < len(flush_after) else []))
            await asyncio.gather(*tasks)

    async def call(self, call: Call) -> None:
        request = self.request(call)
        self.asked.add(cast(str, request.key))
        try:
            await turns(call.starts_after)
            submission = await self.replicas.submits[call.replica].submit(request)
        except (RequestInFlight, IdempotencyMismatch, asyncio.CancelledError):
            return
        self.answers[cast(str, request.key)].append((request, submission))

    async def hang_up(self, task: asyncio.Task[None], call: Call) -> None:
        if call.hangs_up_after is not None:
            await turns(call.starts_after + call.hangs_up_after)
            task.cancel()

    async def flush(self, after: int) -> None:
        """Redis loses all that it knew of this tenant."""
        await turns(after)
        await self.replicas.redis.delete(*(redis_gate._name(Keyed(self.tenant, f"k{key}", b"")) for key in range(KEYS)))

    async def ask_until_answered(self, request: JobRequest, replica: int) -> Submission | IdempotencyMismatch:
        """As a client does that honours Retry-After: a hold that was left behind goes by itself."""
        end = asyncio.get_running_loop().time() + 60
        while True:
            try:
                return await self.replicas.submits[replica].submit(request)
            except (IdempotencyMismatch, RequestInFlight) as refused:
                if isinstance(refused, IdempotencyMismatch) and refused.differs:
                    return refused  # the ledger's word; the gate's alone is of a request in flight
                assert asyncio.get_running_loop().time() < end, f"{request.key} is held for ever"
                await asyncio.sleep(0.01)

    async def idle(self) -> None:
        for dispatch in self.replicas.dispatches:
            await dispatch.idle()

    async def jobs(self) -> dict[str, Any]:
        found = await PostgresLedger(self.replicas.databases[0]).jobs(JobQuery(self.tenant, limit=1000))
        by_key = {job.idempotency_key: job for job in found}
        assert len(by_key) == len(found), "one key, one job"
        return by_key


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


CALLS = st.builds(
    Call,
    key=st.integers(0, KEYS - 1),
    body=st.sampled_from([0, 0, 0, 1]),
    replica=st.integers(0, 1),
    starts_after=st.integers(0, 20),
    hangs_up_after=st.sampled_from([None, None, None, None, 0, 1, 3, 8, 20]),
)
WAVES = st.lists(st.lists(CALLS, min_size=1, max_size=25), min_size=1, max_size=3)
FLUSHES = st.lists(st.integers(0, 20), max_size=2)


@bounded(60)
@given(waves=WAVES, flush_after=FLUSHES)
@pytest.mark.timeout(1800)
def test_any_interleaving_of_submits_with_k_keys_makes_k_jobs(
    replicas: Replicas, waves: list[list[Call]], flush_after: list[int]
) -> None:
    replicas.runner.run(check(replicas, waves, flush_after))


async def check(replicas: Replicas, waves: list[list[Call]], flush_after: list[int]) -> None:
    scene = Scene(replicas)
    await scene.play(waves, flush_after)
    for number, key in enumerate(sorted(scene.asked)):
        request = make_request(tenant=scene.tenant, key=key, payload={"body": 0})
        answer = await scene.ask_until_answered(request, number % 2)
        if isinstance(answer, Submission):
            scene.answers[key].append((request, answer))
    jobs = await scene.jobs()
    assert set(jobs) == scene.asked, "k distinct keys, k jobs"
    for key, answers in scene.answers.items():
        job = jobs[key]
        assert {submission.job.id for _, submission in answers} == {job.id}
        assert {request.payload["body"] for request, _ in answers} == {job.payload["body"]}, "never another's job"
        assert sum(not submission.replayed for _, submission in answers) <= 1, "one request made it"
    await scene.idle()
    await every_job_has_its_message(scene, jobs)


async def every_job_has_its_message(scene: Scene, jobs: dict[str, Any]) -> None:
    """Published once, or still in the outbox for the steward (when its caller hung up in between)."""
    published = [sent.job_id for broker in scene.replicas.brokers for sent in broker.published]
    rows = await scene.replicas.databases[0].all(
        "SELECT o.job_id FROM outbox o JOIN jobs j ON j.id = o.job_id WHERE j.tenant = $1", scene.tenant
    )
    waiting = [row.job_id for row in rows]
    for job in jobs.values():
        assert published.count(job.id) + waiting.count(job.id) == 1


@bounded(30)
@given(bodies=st.lists(st.sampled_from(["a", "b"]), min_size=2, max_size=30), first=st.integers(0, 1))
@pytest.mark.timeout(1800)
def test_requests_that_differ_under_one_key_never_make_a_second_job(
    replicas: Replicas, bodies: list[str], first: int
) -> None:
    async def run() -> None:
        scene = Scene(replicas)
        calls = [
            scene.ask_until_answered(
                make_request(tenant=scene.tenant, key="k", payload={"body": ord(body)}), (first + number) % 2
            )
            for number, body in enumerate(bodies)
        ]
        answers = await asyncio.gather(*calls)
        [job] = (await scene.jobs()).values()
        for body, answer in zip(bodies, answers, strict=True):
            if ord(body) == job.payload["body"]:
                assert isinstance(answer, Submission)
                assert answer.job.id == job.id
            else:
                assert isinstance(answer, IdempotencyMismatch)
        assert sum(isinstance(answer, Submission) and not answer.replayed for answer in answers) == 1
        await scene.idle()

    replicas.runner.run(run())
