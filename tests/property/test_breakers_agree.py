"""The breaker of the domain, the one in memory and the one in Redis are the same, whatever is asked and told and when.

One machine drives all three with one clock: the pure functions over a value, the in-memory store, and the Lua script
in a real Redis. After every step the three have given the same answer and keep the same state; and the answers
themselves obey the rules that the breaker is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from machine_profiles import bounded

from breaker_worlds import Scene, in_memory, in_redis
from holdfast.adapters.redis.link import RedisLink
from holdfast.domain.circuit import ANY_EPOCH, CircuitState, Reason, Report
from holdfast.domain.downstream import Admitted, Ask, Downstream, Forced, Override, Refused, moved
from holdfast.domain.downstream_policy import Policies
from holdfast.ports.downstreams import Known, known

NAME = "webhook:hooks.example.com"
POLICIES = [
    {},
    {"least_calls": 3, "probes": 2, "window": 5, "open": 2, "open_most": 9, "calm": 20, "lease": 4, "ramp_step": 1},
    {"least_calls": 2, "probes": 1, "ramp_failures": 3, "witnesses": 1, "ramp_share": [0, 1], "slow_share": 0.3},
    {"strict": True, "concurrency": 3, "rate": 2, "lease": 3, "least_calls": 4, "retry_after": 7},
]
WORKERS = ["a:1", "b:1", "c:1"]
draws = st.one_of(st.integers(0, 999_999), st.sampled_from([0, 99_950, 99_999, 100_000, 299_999, 300_000, 599_999]))
spans = st.sampled_from([0, 1, 250, 1_000, 2_500, 5_000, 6_000, 20_000, 61_000, 400_000])


class Machine(RuleBasedStateMachine):
    """Three breakers with one history."""

    runner: asyncio.Runner
    link: RedisLink

    def __init__(self) -> None:
        super().__init__()
        self.both: list[Scene] = []
        self.kept, self.until = Downstream(), 0
        self.under_way: list[tuple[int, str]] = []
        self.asked = 0

    @initialize(policy=st.sampled_from(POLICIES))
    def begin(self, policy: dict[str, Any]) -> None:
        self.policies = Policies({NAME: policy})
        self.policy = self.policies.of(NAME)
        self.both = [in_memory(self.policies), in_redis(self.link, self.policies)]

    @property
    def now(self) -> int:
        return self.both[0].time.at

    def _all(self, call: Any) -> list[Any]:
        return [self.runner.run(call(scene)) for scene in self.both]

    @property
    def model(self) -> Downstream:
        """What the domain says is there: what was kept last, until it may be forgotten."""
        return self.kept if self.now < self.until else Downstream()

    def _keep(self, after: Downstream) -> None:
        self.kept, self.until = after, self.now + after.remember_ms(self.now, self.policy)

    @rule(span=spans)
    def wait(self, span: int) -> None:
        for scene in self.both:
            scene.time.pass_by(span)

    @rule(worker=st.sampled_from(WORKERS), draw=draws)
    def ask(self, worker: str, draw: int) -> None:
        self._ask(worker, draw)

    def _ask(self, worker: str, draw: int) -> None:
        self.asked += 1
        ask = Ask(worker, f"l{self.asked}", draw)
        model = self.model
        after, answer = model.admit(ask, self.now, self.policy)
        verdicts = self._all(lambda scene: scene.store.admit(NAME, ask))
        assert [verdict.answer for verdict in verdicts] == [answer, answer]
        assert [verdict.moved for verdict in verdicts] == [moved(model, after)] * 2
        self._obeys(model.at(self.now, self.policy), answer)
        if after is not model:
            self._keep(after)
        if isinstance(answer, Admitted):
            self.under_way.append((answer.epoch, ask.lease))

    def _obeys(self, before: Downstream, answer: Admitted | Refused) -> None:
        """The rules that an answer never breaks."""
        forced = before.override.state if before.override else None
        admitted = isinstance(answer, Admitted)
        if forced is Forced.OPEN:
            assert not admitted
        if forced is None and before.circuit.state is CircuitState.OPEN:
            assert not admitted
        if forced is None and before.circuit.state is CircuitState.HALF_OPEN and admitted:
            assert len(before.circuit.probes) + before.circuit.passed < self.policy.probes
        if before.throttle.paused_until:
            assert not admitted
        if isinstance(answer, Refused):
            assert answer.retry_at >= self.now
            if answer.reason is not Reason.PACED:
                assert answer.retry_at <= self.now + 32_000

    @rule(
        data=st.data(),
        kind=st.sampled_from(["ok", "slow", "failure", "refusal", "timeout", "nothing"]),
        latency=st.integers(0, 30_000),
        pause=st.sampled_from([0, 0, 0, 1_000, 90_000]),
        worker=st.sampled_from(WORKERS),
        alive=st.integers(1, 3),
        times=st.sampled_from([1, 1, 1, 5]),
        epoch=st.sampled_from(["own", "own", "any"]),
        draw=draws,
    )
    def tell(
        self,
        data: st.DataObject,
        kind: str,
        latency: int,
        pause: int,
        worker: str,
        alive: int,
        times: int,
        epoch: str,
        draw: int,
    ) -> None:
        if not self.under_way:
            return
        of, lease = self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))
        of = of if epoch == "own" else ANY_EPOCH
        self._tell(replace(_report(kind, times, latency, pause), epoch=of, leases=(lease,)), worker, alive, draw)

    def _tell(self, report: Report, worker: str, alive: int, draw: int) -> None:
        model = self.model
        after = model.record(report, worker, alive, draw, self.now, self.policy)
        moves = self._all(lambda scene: scene.tell(report, worker, alive, draw, NAME))
        assert moves == [moved(model, after)] * 2
        if moves[0] and moves[0].after is CircuitState.OPEN and model.circuit.state is CircuitState.CLOSED:
            assert alive == 1 or self.policy.witnesses == 1 or {*model.circuit.witnesses} - {worker}
        self._keep(after)

    @rule(draw=draws)
    def fall_sick(self, draw: int) -> None:
        """Everybody sees it fail, as often as it takes."""
        for worker in WORKERS[:2] * self.policy.least_calls:
            self._tell(Report(self.model.circuit.epoch, failures=1), worker, 3, draw)

    @rule(draw=draws, late=st.sampled_from([0, 0, 1, 700]))
    def get_well(self, draw: int, late: int) -> None:
        """Its open period passes, and the probes succeed."""
        well_at = max(self.now, self.model.circuit.open_until) + late
        for scene in self.both:
            scene.time.at = well_at
        for _ in range(self.policy.probes):
            self._ask(WORKERS[2], draw)
            while self.under_way:
                of, lease = self.under_way.pop()
                self._tell(Report(of, ok=1, latency_ms=30, leases=(lease,)), WORKERS[2], 3, draw)

    @rule(state=st.sampled_from(Forced), span=st.sampled_from([1_000, 30_000]))
    def force(self, state: Forced, span: int) -> None:
        override = Override(state, self.now + span, "maintenance", "ada", self.now)
        self._forced(override)

    @rule()
    def clear(self) -> None:
        self._forced(None)

    def _forced(self, override: Override | None) -> None:
        self._keep(self.model.forced(override, self.now, self.policy))
        seen = self._all(lambda scene: scene.store.override(NAME, override) if override else scene.store.clear(NAME))
        assert seen == [self._seen()] * 2

    @invariant()
    def the_three_keep_the_same(self) -> None:
        model = self.model.at(self.now, self.policy)
        assert self._all(lambda scene: scene.kept(NAME)) == [model, model]
        assert self._all(lambda scene: scene.store.look(NAME)) == [self._seen()] * 2

    def _seen(self) -> Known:
        return known(NAME, self.model, self.now, self.policy)


def _report(kind: str, times: int, latency: int, pause: int) -> Report:
    match kind:
        case "ok":
            return Report(0, ok=times, latency_ms=latency * times)
        case "slow":
            return Report(0, slow=times, latency_ms=latency * times)
        case "failure":
            return Report(0, failures=times, retry_after_ms=pause)
        case "refusal":
            return Report(0, failures=times, refusals=times, retry_after_ms=pause)
        case "timeout":
            return Report(0, failures=times, timeouts=times)
        case _:
            return Report(0)


@pytest.fixture(scope="module")
def redis(services: dict[str, str]) -> Iterator[tuple[asyncio.Runner, RedisLink]]:
    runner, link = asyncio.Runner(), RedisLink(services["HOLDFAST_REDIS_URL"], timeout=5.0)
    yield runner, link
    runner.run(link.close())
    runner.close()


def test_the_breakers_of_the_domain_of_memory_and_of_redis_are_one(redis: tuple[asyncio.Runner, RedisLink]) -> None:
    runner, link = redis

    class WithRedis(Machine):
        pass

    WithRedis.runner, WithRedis.link = runner, link
    run_state_machine_as_test(WithRedis, settings=bounded(40, steps=40))
