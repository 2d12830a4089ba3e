"""The idempotency gate: one answer for a key, in memory and in Redis."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import TypeVar
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeout

from harness import free_port, soon
from holdfast.adapters.memory.gate import MemoryGate
from holdfast.adapters.redis import gate as redis_gate_module
from holdfast.adapters.redis import link as redis_link_module
from holdfast.adapters.redis.gate import RedisGate
from holdfast.adapters.redis.link import RedisLink
from holdfast.domain.errors import RedisUnavailable
from holdfast.ports.gate import Answered, Gate, GateAnswer, Held, InFlight, Keyed, Known
from holdfast.settings import Settings

T = TypeVar("T")
ONE, OTHER = bytes(range(32)), bytes(range(32, 64))


@pytest.fixture
async def redis_link(services: dict[str, str]) -> AsyncIterator[RedisLink]:
    link = RedisLink(services["HOLDFAST_REDIS_URL"], timeout=2.0)
    yield link
    await link.close()


@pytest.fixture
def redis_gate(redis_link: RedisLink) -> RedisGate:
    return RedisGate(redis_link, hold=15.0, memory=60.0)


@pytest.fixture(params=["memory", "redis"])
def gate(request: pytest.FixtureRequest) -> Gate:
    if request.param == "memory":
        return MemoryGate()
    found: Gate = request.getfixturevalue("redis_gate")
    return found


@pytest.fixture
def tenant() -> str:
    return f"tenant-{secrets.token_hex(4)}"


async def hold(gate: Gate, tenant: str, key: str, fingerprint: bytes) -> GateAnswer:
    [answer] = await gate.hold([Keyed(tenant, key, fingerprint)])
    return answer


async def test_a_new_key_is_held(gate: Gate, tenant: str) -> None:
    assert await hold(gate, tenant, "k", ONE) == Held()


@pytest.mark.parametrize("fingerprint", [ONE, OTHER], ids=["same request", "another request"])
async def test_a_held_key_is_in_flight_and_says_for_which_request(gate: Gate, tenant: str, fingerprint: bytes) -> None:
    await hold(gate, tenant, "k", ONE)
    answer = await hold(gate, tenant, "k", fingerprint)
    assert isinstance(answer, InFlight)
    assert answer.fingerprint == ONE
    assert 0 < answer.retry_after.total_seconds() <= 15


async def test_a_remembered_key_is_known_with_its_job(gate: Gate, tenant: str) -> None:
    job_id = uuid4()
    await hold(gate, tenant, "k", ONE)
    await gate.remember([Answered(Keyed(tenant, "k", ONE), job_id)])
    assert await hold(gate, tenant, "k", ONE) == Known(ONE, job_id)
    assert await hold(gate, tenant, "k", OTHER) == Known(ONE, job_id)


async def test_an_answer_can_be_remembered_without_a_hold(gate: Gate, tenant: str) -> None:
    job_id = uuid4()
    await gate.remember([Answered(Keyed(tenant, "k", ONE), job_id)])
    assert await hold(gate, tenant, "k", ONE) == Known(ONE, job_id)


async def test_a_released_key_is_new_again(gate: Gate, tenant: str) -> None:
    await hold(gate, tenant, "k", ONE)
    await gate.release([Keyed(tenant, "k", ONE)])
    assert await hold(gate, tenant, "k", OTHER) == Held()


async def test_releasing_does_not_delete_an_answer(gate: Gate, tenant: str) -> None:
    job_id = uuid4()
    await hold(gate, tenant, "k", ONE)
    await gate.remember([Answered(Keyed(tenant, "k", ONE), job_id)])
    await gate.release([Keyed(tenant, "k", ONE)])
    assert await hold(gate, tenant, "k", ONE) == Known(ONE, job_id)


async def test_releasing_does_not_delete_the_hold_of_another_request(gate: Gate, tenant: str) -> None:
    await hold(gate, tenant, "k", ONE)
    await gate.release([Keyed(tenant, "k", OTHER)])
    assert isinstance(await hold(gate, tenant, "k", ONE), InFlight)


async def test_releasing_what_is_not_held_is_no_error(gate: Gate, tenant: str) -> None:
    await gate.release([Keyed(tenant, "k", ONE)])
    assert await hold(gate, tenant, "k", ONE) == Held()


@pytest.mark.parametrize("other", [("a", "k"), ("a/b", "K"), ("A/b", "k"), ("a/b", "k ")], ids=str)
async def test_a_key_belongs_to_one_tenant(gate: Gate, tenant: str, other: tuple[str, str]) -> None:
    await hold(gate, f"{tenant}-a/b", "k", ONE)
    assert await hold(gate, f"{tenant}-{other[0]}", other[1], ONE) == Held()


async def test_of_many_that_ask_at_once_one_holds_the_key(gate: Gate, tenant: str) -> None:
    answers = await asyncio.gather(*(hold(gate, tenant, "k", ONE) for _ in range(20)))
    assert answers.count(Held()) == 1
    assert sum(isinstance(answer, InFlight) for answer in answers) == 19


async def test_those_that_ask_together_are_answered_in_order_and_the_first_of_a_key_holds_it(
    gate: Gate, tenant: str
) -> None:
    job_id = uuid4()
    await gate.remember(
        [Answered(Keyed(tenant, "known", ONE), job_id), Answered(Keyed(tenant, "other", OTHER), uuid4())]
    )
    asked = [Keyed(tenant, "new", ONE), Keyed(tenant, "known", OTHER), Keyed(tenant, "new", OTHER)]
    first, known, second = await gate.hold(asked)
    assert (first, known) == (Held(), Known(ONE, job_id))
    assert isinstance(second, InFlight)
    assert second.fingerprint == ONE


async def test_the_gate_answers_a_ping(gate: Gate) -> None:
    await gate.ping()


async def test_the_hold_of_a_process_that_died_expires(redis_link: RedisLink, tenant: str) -> None:
    gate = RedisGate(redis_link, hold=2.0, memory=60.0)
    await hold(gate, tenant, "k", ONE)
    assert isinstance(await hold(gate, tenant, "k", OTHER), InFlight)
    await soon(lambda: hold(gate, tenant, "k", OTHER), lambda seen: seen == Held())


async def test_an_answer_outlives_its_hold(redis_link: RedisLink, tenant: str) -> None:
    gate = RedisGate(redis_link, hold=0.05, memory=60.0)
    job_id = uuid4()
    await hold(gate, tenant, "k", ONE)
    await gate.remember([Answered(Keyed(tenant, "k", ONE), job_id)])
    await hold(gate, tenant, "expiring", ONE)
    await soon(lambda: hold(gate, tenant, "expiring", ONE), lambda seen: seen == Held())
    assert await hold(gate, tenant, "k", ONE) == Known(ONE, job_id)


def test_the_default_memory_is_at_least_a_day() -> None:
    assert Settings.model_fields["gate_memory"].default >= 24 * 3600


async def test_an_answer_is_kept_for_as_long_as_it_was_told(
    services: dict[str, str], redis_link: RedisLink, tenant: str
) -> None:
    gate = RedisGate(redis_link, hold=1.0, memory=48 * 3600.0)
    await gate.remember([Answered(Keyed(tenant, "k", ONE), uuid4())])
    raw = Redis.from_url(services["HOLDFAST_REDIS_URL"])
    lifetime = await raw.ttl(redis_gate_module._name(Keyed(tenant, "k", ONE)))
    await raw.aclose()
    assert 47 * 3600 < lifetime <= 48 * 3600


async def test_a_redis_that_is_away_is_said_to_be_in_good_time() -> None:
    nowhere = RedisLink(f"redis://127.0.0.1:{free_port()}/0", timeout=0.2)
    gate = RedisGate(nowhere, hold=1.0, memory=60.0)
    async with asyncio.timeout(5):
        for call in (
            lambda: hold(gate, "t", "k", ONE),
            lambda: gate.remember([Answered(Keyed("t", "k", ONE), uuid4())]),
            lambda: gate.release([Keyed("t", "k", ONE)]),
            gate.ping,
        ):
            with pytest.raises(RedisUnavailable, match=r"Redis (does|did) not answer"):
                await call()
    await nowhere.close()


async def test_a_redis_that_hangs_is_asked_once_a_second_and_found_again(
    monkeypatch: pytest.MonkeyPatch, redis_link: RedisLink
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(redis_link_module.time, "monotonic", lambda: now)
    gate = RedisGate(redis_link, hold=1.0, memory=60.0)
    asked = 0

    async def hang(*_: object, **__: object) -> None:
        nonlocal asked
        asked += 1
        raise RedisTimeout("no answer")

    with monkeypatch.context() as hanging:
        hanging.setattr(redis_link.redis, "evalsha", hang)
        for _ in range(3):
            for _ in range(10):
                with pytest.raises(RedisUnavailable):
                    await hold(gate, "t", "k", ONE)
            now += redis_link_module.COOL_DOWN
    assert asked == 3
    assert isinstance(await hold(gate, "t", str(uuid4()), ONE), Held)


async def test_keys_are_released_together_each_for_its_own_request(gate: Gate, tenant: str) -> None:
    await hold(gate, tenant, "a", ONE)
    await hold(gate, tenant, "b", ONE)
    await gate.release([Keyed(tenant, "a", ONE), Keyed(tenant, "b", OTHER)])
    assert await hold(gate, tenant, "a", OTHER) == Held()
    assert isinstance(await hold(gate, tenant, "b", ONE), InFlight)
