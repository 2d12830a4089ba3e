"""Breakers that the whole pool shares: one behaviour, in memory and in Redis, with a clock of the test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from breaker_worlds import Scene, beating, in_memory, in_redis
from holdfast.adapters.redis.breakers import RedisBreakers
from holdfast.adapters.redis.link import RedisLink
from holdfast.domain.circuit import CircuitState, Reason, Report
from holdfast.domain.downstream import Admitted, Ask, Downstream, Forced, Override, Refused
from holdfast.domain.downstream_policy import Policies
from holdfast.ports.downstreams import Evidence


@pytest.fixture
async def link(services: dict[str, str]) -> AsyncIterator[RedisLink]:
    found = RedisLink(services["HOLDFAST_REDIS_URL"], timeout=5.0)
    yield found
    await found.close()


@pytest.fixture(params=["memory", "redis"])
def scene(request: pytest.FixtureRequest) -> Scene:
    return in_memory() if request.param == "memory" else in_redis(request.getfixturevalue("link"))


def refused(scene_answer: Admitted | Refused) -> Reason | None:
    return scene_answer.reason if isinstance(scene_answer, Refused) else None


async def why(scene: Scene, worker: str = "a:1", draw: int = 0, name: str | None = None) -> Reason | None:
    """The reason why a call is refused; None when it is admitted."""
    return refused((await scene.ask(worker, draw, name)).answer)


async def test_what_nobody_knows_is_healthy_and_need_not_be_asked_again_at_once(scene: Scene) -> None:
    assert (await scene.ask()).answer == Admitted(0, leased=False, fresh=True)
    assert await scene.kept() == Downstream()


async def test_failures_of_two_workers_open_it_for_every_worker(scene: Scene) -> None:
    await scene.trip()
    assert [await why(scene, worker) for worker in ("a:1", "b:1", "c:1")] == [Reason.OPEN] * 3
    known = await scene.store.look(scene.name)
    assert (known.state, known.trips, known.open_until) == (CircuitState.OPEN, 1, scene.time.at + 5_000)


async def test_the_move_is_told_to_the_one_who_caused_it(scene: Scene) -> None:
    moves = [await scene.tell(Report(0, failures=1), worker) for worker in ("a:1", "b:1") * 5]
    assert [move and move.after for move in moves] == [None] * 9 + [CircuitState.OPEN]


async def test_one_worker_alone_is_flagged_for_all_to_see(scene: Scene) -> None:
    await scene.fail(12, "a:1")
    assert [await why(scene, "a:1"), await why(scene, "b:1")] == [Reason.FLAGGED, None]
    assert (await scene.store.look(scene.name)).flagged == "a:1"


async def test_it_heals_by_probes_and_a_ramp(scene: Scene) -> None:
    await scene.trip()
    scene.time.pass_by(5_000)
    await scene.pass_probes()
    for share in (100_000, 300_000, 600_000):
        assert [await why(scene, draw=share - 1), await why(scene, draw=share)] == [None, Reason.RAMPING]
        scene.time.pass_by(5_000)
    assert (await scene.kept()).circuit.state is CircuitState.CLOSED


async def test_a_lost_probe_is_given_to_somebody_else(scene: Scene) -> None:
    await scene.trip()
    scene.time.pass_by(5_000)
    assert [await why(scene) for _ in range(4)] == [None, None, None, Reason.PROBING]
    scene.time.pass_by(60_000)
    assert [await why(scene, "b:1") for _ in range(4)] == [None, None, None, Reason.PROBING]


async def test_it_begins_again_with_the_least_concurrency(scene: Scene) -> None:
    await scene.trip()
    assert (await scene.store.look(scene.name)).limit == 2


async def test_a_retry_after_stops_the_destination_for_every_worker(scene: Scene) -> None:
    await scene.tell(Report(0, failures=1, refusals=1, retry_after_ms=30_000), "a:1")
    assert [await why(scene, "a:1"), await why(scene, "b:1")] == [Reason.PACED, Reason.PACED]
    scene.time.pass_by(30_000)
    assert await why(scene, "b:1") is None


async def test_under_a_limit_each_call_holds_a_lease_until_it_is_told_or_runs_out(scene: Scene) -> None:
    await scene.tell(Report(0, failures=1, timeouts=1))
    limit = (await scene.store.look(scene.name)).limit
    assert limit == 32
    assert [await why(scene) for _ in range(limit + 1)] == [None] * limit + [Reason.FULL]
    await scene.tell(Report(0, ok=1, latency_ms=5, leases=("lease-1",)))
    assert await why(scene) is None
    scene.time.pass_by(60_000)
    assert (await scene.store.look(scene.name)).in_flight == 0
    assert await why(scene) is None


async def test_an_operator_can_force_it_open_and_take_that_back(scene: Scene) -> None:
    override = Override(Forced.OPEN, await scene.store.now() + 60_000, "maintenance", "ada", scene.time.at)
    assert (await scene.store.override(scene.name, override)).override == override
    assert await why(scene) is Reason.FORCED_OPEN
    assert (await scene.store.clear(scene.name)).override is None
    assert await why(scene) is None


async def test_an_override_ends_by_itself(scene: Scene) -> None:
    await scene.store.override(scene.name, Override(Forced.OPEN, scene.time.at + 60_000, "tests", "ada", scene.time.at))
    scene.time.pass_by(60_000)
    assert await why(scene) is None
    assert (await scene.store.look(scene.name)).override is None


async def test_a_breaker_that_is_forced_closed_admits_and_does_not_trip(scene: Scene) -> None:
    await scene.trip()
    override = Override(Forced.CLOSED, scene.time.at + 60_000, "we know better", "ada", scene.time.at)
    await scene.store.override(scene.name, override)
    assert await why(scene) is None
    await scene.fail(20, "a:1", "b:1")
    assert (await scene.kept()).circuit.trips == 1


async def test_all_lists_what_is_known_by_name_until_it_is_forgotten(scene: Scene) -> None:
    for name in ("webhook:b.example", "smtp:a.example"):
        await scene.tell(Report(0, ok=3, latency_ms=30), name=name)
    assert [known.name for known in await scene.store.all()] == ["smtp:a.example", "webhook:b.example"]
    assert [(known.calls, known.failure_rate) for known in await scene.store.all()] == [(3, 0.0)] * 2
    scene.time.pass_by(200_000)
    assert await scene.store.all() == []


async def test_a_worker_is_alive_for_ten_seconds_after_its_beat(scene: Scene) -> None:
    for worker in (beating("a:1"), beating("b:1"), beating("c:1", pool="render")):
        told = await scene.store.tell(worker, 1, [])
    assert told.alive == 1
    assert (await scene.store.tell(beating("a:1"), 1, [])).alive == 2
    assert [worker.instance for worker in await scene.store.workers()] == ["c:1", "a:1", "b:1"]
    scene.time.pass_by(9_999)
    await scene.store.tell(beating("b:1"), 2, [])
    scene.time.pass_by(1)
    assert await scene.store.workers() == [beating("b:1")]


async def test_children_of_one_worker_are_one_witness(scene: Scene) -> None:
    for process in ("a:7", "a:8"):
        told = await scene.store.tell(replace(beating("a:1"), process=process), 2, [])
    assert (told.alive, len(await scene.store.workers())) == (1, 2)


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_no_more_names_are_kept_than_the_most(kind: str, link: RedisLink) -> None:
    scene = in_memory() if kind == "memory" else in_redis(link)
    scene.store._most = 5
    await scene.trip()
    for number in range(20):
        scene.time.pass_by(1)
        await scene.tell(Report(0, ok=1, latency_ms=9), name=f"webhook:{number}.example")
    names = [known.name for known in await scene.store.all()]
    assert len(names) == 5
    assert scene.name in names, "what is sick is kept; what is healthy is soon the same as new"
    if isinstance(scene.store, RedisBreakers):
        assert len(await link.redis.keys(scene.store._keys + "*")) == 5


async def test_a_redis_that_forgot_the_scripts_is_given_them_again(link: RedisLink) -> None:
    scene = in_redis(link)
    assert await why(scene) is None
    await link.redis.script_flush()
    assert await why(scene) is None
    await link.redis.script_flush()
    evidence = [Evidence(scene.name, Report(0, failures=1), 0), Evidence("smtp:x", Report(0, ok=1), 0)]
    assert (await scene.store.tell(beating("a:1"), 1, evidence)).moves == [None, None]


async def test_redis_tells_the_time_in_production(link: RedisLink) -> None:
    store = RedisBreakers(link, Policies(), prefix=f"test-{id(link)}:")
    verdict = await store.admit("webhook:x", Ask("a:1", "l", 0))
    seconds, _ = await link.redis.time()
    assert abs(verdict.now / 1000 - int(seconds)) < 60
