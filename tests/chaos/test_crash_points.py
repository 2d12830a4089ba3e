"""A real process dies at every point at which a crash could tear two steps apart, is started again, and the job
still ends once: with the attempts, the deliveries and the dead letters that were promised.

Each line of `CRASHES` is a point, the process that dies there, the job that passes by, and the promise in words.
Every other process lives through it. The effect is a webhook, counted by its receiver under its `webhook-id`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import amqp
import asyncpg
import httpx
import pytest
from receiver import Receiver, new_secret

from harness import Platform, eventually
from holdfast.adapters.rabbitmq.connection import connect
from holdfast.domain.job import ENDED
from holdfast.domain.topology import DELIVERY_LIMIT, JOBS, work_queue
from holdfast.ports.faults import FaultPoint
from holdfast.settings import Settings

API, STEWARD, WEBHOOKS, RENDER = "api", "steward", "worker-webhook", "worker-render"

Attempts = list[tuple[str, int]]
"""State and number of deliveries of each attempt."""
ONCE: Attempts = [("succeeded", 1)]
TAKEN_OVER: Attempts = [("succeeded", 2)]
RETRIED: Attempts = [("failed", 1), ("succeeded", 1)]
DIED: Attempts = [("failed", 1)]


@dataclass(frozen=True)
class Crash:
    """A point, who dies there, on which job, and what was promised for it."""

    point: FaultPoint
    role: str
    story: str
    promise: str
    attempts: Attempts = field(default_factory=lambda: ONCE)
    delivered: int = 1
    letters: int = 0
    after: tuple[str, FaultPoint, str] | None = None
    """What leads the job to the point: another fault before, in the process of that role."""

    @property
    def state(self) -> str:
        return {"succeeded": "succeeded", "failed": "dead"}[self.attempts[-1][0]]

    def __str__(self) -> str:
        return f"{self.point.value}-{self.role}-{self.story}"


P = FaultPoint
CRASHES = [
    # The api, while it accepts a job. The client sees a broken connection and posts again with the same key.
    Crash(P.SUBMIT_HELD, API, "delivery", "nothing was accepted; the key is free again when the hold has run out"),
    Crash(P.SUBMIT_COMMITTED, API, "delivery", "the steward publishes the row; the key finds the job"),
    Crash(P.DISPATCH_CONFIRMED, API, "delivery", "published twice, the second ticket is refused; one delivery"),
    Crash(P.SUBMIT_REMEMBERED, API, "delivery", "the gate itself has the answer for the second post"),
    # A worker, in the attempt that succeeds.
    Crash(P.EXECUTE_CLAIMED, WEBHOOKS, "delivery", "redelivered and claimed anew; one delivery", TAKEN_OVER),
    Crash(P.EXECUTE_RAN, WEBHOOKS, "delivery", "the one gap in which the effect repeats, by its id", TAKEN_OVER, 2),
    Crash(P.EXECUTE_SETTLED, WEBHOOKS, "delivery", "the redelivered ticket is refused as settled"),
    Crash(P.EXECUTE_PUBLISHED, WEBHOOKS, "delivery", "the redelivered ticket is refused as settled"),
    # A worker, in an attempt that fails and is followed by another.
    Crash(P.EXECUTE_CLAIMED, WEBHOOKS, "retry", "the attempt is spent once", [("failed", 2), ("succeeded", 1)]),
    Crash(P.EXECUTE_SETTLED, WEBHOOKS, "retry", "the steward publishes the retry", RETRIED),
    Crash(P.DISPATCH_CONFIRMED, WEBHOOKS, "retry", "the retry is published twice and runs once", RETRIED),
    Crash(P.EXECUTE_PUBLISHED, WEBHOOKS, "retry", "the redelivered ticket is of an attempt that is over", RETRIED),
    # A worker, in the attempt that buries the job.
    Crash(P.EXECUTE_RAN, WEBHOOKS, "death", "the attempt is made again, and then buried", [("failed", 2)], 0, 1),
    Crash(P.EXECUTE_SETTLED, WEBHOOKS, "death", "refused as dead, hence dead-lettered after all", DIED, 0, 1),
    Crash(P.EXECUTE_PUBLISHED, WEBHOOKS, "death", "refused as dead, hence dead-lettered after all", DIED, 0, 1),
    # The steward.
    Crash(
        P.DISPATCH_CONFIRMED,
        STEWARD,
        "delivery",
        "relayed twice, the second ticket is refused",
        after=(API, P.SUBMIT_COMMITTED, "raise"),
    ),
    Crash(P.PROMOTE_COMMITTED, STEWARD, "delay", "the relay publishes what was promoted"),
    Crash(P.DISPATCH_CONFIRMED, STEWARD, "delay", "promoted once, published twice, run once"),
    Crash(P.ARCHIVE_FILED, STEWARD, "death", "the letter comes again and finds itself filed", DIED, 0, 1),
    Crash(
        P.REISSUE_COMMITTED,
        STEWARD,
        "delivery",
        "who had claimed the job by the ticket has lost it, and who claims it by the new one keeps it",
        TAKEN_OVER,
        after=(WEBHOOKS, P.EXECUTE_CLAIMED, "raise"),
    ),
    Crash(
        P.REISSUE_COMMITTED,
        STEWARD,
        "rejected",
        "a ticket that the broker gave up on for no fault of the job is made anew; its second copy is refused",
    ),
    Crash(
        P.RESCUE_COMMITTED,
        STEWARD,
        "lost",
        "a job whose worker and message are both gone is rescued once",
        TAKEN_OVER,
        0,
        after=(WEBHOOKS, P.EXECUTE_CLAIMED, "kill"),
    ),
    Crash(
        P.BURY_COMMITTED,
        STEWARD,
        "poison",
        "dead in the ledger already, the poisoned job is filed when its message comes again",
        [("failed", DELIVERY_LIMIT + 1)],
        0,
        1,
    ),
    # The api, while an operator replays a dead letter. The first life ended in a death and a letter.
    Crash(P.REPLAY_COMMITTED, API, "replay", "the replay is committed, so the steward publishes it", RETRIED, 1, 1),
    Crash(P.DISPATCH_CONFIRMED, API, "replay", "published twice, run once", RETRIED, 1, 1),
]


class World:
    """A platform whose processes die where a test says, an honest receiver, and an observer of the ledger."""

    def __init__(self, settings: Settings, folder: Path, receiver: Receiver) -> None:
        self.faults = folder / "faults"
        self.settings = settings.model_copy(
            update={"steward_in_api": False, "gate_hold": 2.0, "rescue_after": 0.5, "lease_margin": 0.5}
        )
        self.platform = Platform(self.settings, folder)
        self.receiver = receiver
        self.client = self.platform.client()
        self.ended_jobs: dict[str, tuple[Crash, dict[str, Any]]] = {}

    # -- processes ----------------------------------------------------------------------------------------------

    def start(self, role: str) -> None:
        """Each role has a folder of faults of its own: some points are passed by several processes."""
        (self.faults / role).mkdir(parents=True, exist_ok=True)
        self.platform.start(role, faults=self.faults / role)

    def arm(self, crash: Crash) -> None:
        for file in self.faults.glob("*/*"):
            file.unlink()
        if crash.after:
            role, point, action = crash.after
            (self.faults / role / point.value).write_text(action)
        (self.faults / crash.role / crash.point.value).write_text("kill")

    def resurrect(self, crash: Crash) -> None:
        """See that the process died of the fault and of nothing else, and start it again."""
        victim = self.platform.members[crash.role]
        # A prefork pool notices a dead child within five seconds, and poison has to kill six.
        eventually(lambda: victim.process.poll() is not None, within=200.0)
        assert (self.faults / crash.role / f"{crash.point.value}.fired").exists(), victim.tail()
        assert victim.process.returncode == -signal.SIGKILL, victim.tail()
        self.start(crash.role)
        if crash.role == API:  # the others are waited for by what they do
            self.platform.wait_ready(API)

    # -- jobs ---------------------------------------------------------------------------------------------------

    def post(self, key: str, story: str) -> httpx.Response | None:
        """None when the api died instead of answering."""
        webhook = {"url": self.receiver.url, "body": {"key": key}, "secret": self.receiver.secret}
        request: dict[str, Any] = {
            "delay": {"kind": "webhook.dispatch", "payload": webhook, "delay": 0.3},
            "lost": {"kind": "test.block", "payload": {}},
            "poison": {"kind": "test.crash", "payload": {}},
        }.get(story, {"kind": "webhook.dispatch", "payload": webhook})
        try:
            return self.client.post("/v1/jobs", json=request, headers={"Idempotency-Key": key})
        except httpx.TransportError:
            return None

    def ended(self, job_id: str) -> dict[str, Any]:
        return eventually(
            lambda: self.client.get(f"/v1/jobs/{job_id}", params={"wait": 5}).json(),
            lambda job: job["state"] in ENDED,
            within=90,
        )

    def attempts(self, job_id: str) -> Attempts:
        found = self.client.get(f"/v1/jobs/{job_id}/attempts").json()["attempts"]
        return [(attempt["state"], attempt["deliveries"]) for attempt in found]

    def letters(self, job_id: str | None) -> list[dict[str, Any]]:
        found = self.client.get("/v1/dead-letters", params={"settled": True, "limit": 200}).json()["dead_letters"]
        return [letter for letter in found if letter["job_id"] == job_id]

    # -- behind the scenes --------------------------------------------------------------------------------------

    def ask(self, statement: str, *values: Any) -> Any:
        """One value from the ledger."""

        async def run() -> Any:
            url = self.settings.postgres_url.get_secret_value().replace("+asyncpg", "")
            connection = await asyncpg.connect(url)
            try:
                return await connection.fetchval(statement, *values)
            finally:
                await connection.close()

        return asyncio.run(run())

    def broker(self, work: Callable[[amqp.Channel], Any]) -> Any:
        connection = connect(self.settings.rabbitmq_url.get_secret_value(), name="crash points")
        try:
            return work(connection.channel())
        finally:
            connection.close()

    def queued(self) -> dict[str, int]:
        """Messages in each queue, a few seconds old; -1 where they were not counted yet."""
        vhost = self.settings.rabbitmq_url.get_secret_value().rsplit("/", 1)[1]
        base = self.settings.rabbitmq_management_url.get_secret_value()
        queues = httpx.get(f"{base}/api/queues/{vhost}", params={"columns": "name,messages"}, timeout=60).json()
        return {queue["name"]: queue.get("messages", -1) for queue in queues if queue.get("messages", -1)}


@pytest.fixture(scope="module")
def world(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Receiver(new_secret()) as receiver:
        running = World(module_settings, tmp_path_factory.mktemp("crash"), receiver)
        try:
            for role in (API, STEWARD, WEBHOOKS):
                running.start(role)
            running.platform.wait_ready(API, WEBHOOKS)
            yield running
        finally:
            running.client.close()
            running.platform.stop_all()


def begin(world: World, crash: Crash, key: str) -> None:
    """Bring a job to the point."""
    match crash.story:
        case "retry":
            world.receiver.fail_next(1)
        case "death":
            world.receiver.fail_next(crash.attempts[-1][1], status=410)
        case "poison":
            world.start(RENDER)
        case "replay":
            return begin_replay(world, crash, key)
        case "rejected":
            assert world.platform.members[WEBHOOKS].terminate() == 0
    world.arm(crash)
    world.post(key, crash.story)
    match crash.story:
        case "lost":
            lose(world)
        case "rejected":
            reject(world)
            world.start(WEBHOOKS)
    return None


def begin_replay(world: World, crash: Crash, key: str) -> None:
    """A first life that ends in a dead letter; its replay meets the fault."""
    world.receiver.fail_next(1, status=410)
    job = world.post(key, crash.story)
    assert job is not None
    letter = eventually(lambda: world.letters(job.json()["id"]))[0]
    world.arm(crash)
    with pytest.raises(httpx.TransportError):
        world.client.post(f"/v1/dead-letters/{letter['id']}/replay", json={})


def lose(world: World) -> None:
    """The worker dies with the claim, and the broker loses the message: only the lease tells of the job."""
    worker = world.platform.members[WEBHOOKS].process
    eventually(lambda: worker.poll() is not None)
    eventually(lambda: world.broker(lambda channel: channel.queue_purge(work_queue("custom"))))
    world.start(WEBHOOKS)


def reject(world: World) -> None:
    """Somebody takes the ticket from the queue and has the broker dead-letter it, though nobody has claimed the job."""

    def one(channel: amqp.Channel) -> bool:
        message = channel.basic_get(work_queue("webhook"))
        if message is not None:
            channel.basic_reject(message.delivery_tag, requeue=False)
        return message is not None

    eventually(lambda: world.broker(one))


def accepted(world: World, key: str, crash: Crash) -> dict[str, Any]:
    """What the client gets who posts again, as it should after a broken connection: 202, soon."""
    answers: list[int] = []

    def once_more() -> httpx.Response | None:
        response = world.post(key, crash.story)
        answers.append(response.status_code if response is not None else 0)
        return response

    response = eventually(once_more, lambda seen: seen is not None and seen.status_code == 202, within=40, every=0.2)
    assert response is not None
    assert set(answers) <= {202, 409}, "in flight until the hold has run out, then accepted"
    job: dict[str, Any] = response.json()
    return job


def check(world: World, crash: Crash, job: dict[str, Any]) -> None:
    """The promise of the point, as the ledger, the dead letters and the receiver see it."""
    assert job["state"] == crash.state, job
    assert world.attempts(job["id"]) == crash.attempts, crash.promise
    assert world.receiver.deliveries[f"msg_{job['id'].replace('-', '')}"] == crash.delivered, crash.promise
    eventually(lambda: len(world.letters(job["id"])), lambda letters: letters == crash.letters)


@pytest.mark.parametrize("crash", CRASHES, ids=str)
def test_a_process_that_dies_between_two_steps_costs_nothing_but_time(world: World, crash: Crash) -> None:
    key = str(uuid4())
    begin(world, crash, key)
    world.resurrect(crash)
    job = world.ended(accepted(world, key, crash)["id"])
    check(world, crash, job)
    eventually(lambda: world.ask("SELECT count(*) FROM outbox"), lambda rows: rows == 0)
    assert world.ask("SELECT count(*) FROM jobs WHERE idempotency_key = $1", key) == 1
    world.receiver.recover()
    world.ended_jobs[key] = crash, job


def test_a_message_that_is_no_ticket_is_filed_once_though_its_archiver_died(world: World) -> None:
    crash = Crash(P.ARCHIVE_FILED, STEWARD, "garbage", "filed under an id that its content gives")
    world.arm(crash)
    garbage = amqp.Message(b"no ticket", delivery_mode=2, application_headers={"from": "elsewhere"})
    world.broker(lambda channel: channel.basic_publish(garbage, JOBS, "custom"))
    world.resurrect(crash)
    eventually(world.queued, lambda left: not left, within=90)
    (letter,) = world.letters(None)
    assert (letter["reason"], letter["headers"]["from"]) == ("unparseable", "elsewhere")


def test_and_when_every_queue_has_run_empty_nothing_has_happened_any_more(world: World) -> None:
    """The second copies of tickets and letters have arrived by now, and changed nothing."""
    eventually(world.queued, lambda left: not left, within=90)
    for key, (crash, job) in world.ended_jobs.items():
        again = accepted(world, key, crash)
        assert (again["id"], again["finished_at"]) == (job["id"], job["finished_at"]), crash
        check(world, crash, again)
    assert world.ask("SELECT count(*) FROM outbox") == 0
    assert world.ask("SELECT count(*) FROM jobs") == len(world.ended_jobs)
