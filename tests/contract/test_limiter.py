"""The rate limiter in memory and in Redis: the same buckets; and what Redis adds: one bucket for all processes."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable

import pytest
from redis.asyncio import Redis
from redis.exceptions import TimeoutError as RedisTimeout

from harness import soon
from holdfast.adapters.memory.limiter import MemoryLimiter
from holdfast.adapters.redis import limiter as module
from holdfast.adapters.redis.limiter import RedisLimiter
from holdfast.adapters.redis.link import RedisLink
from holdfast.domain.bucket import Rate
from holdfast.ports.limiter import Limiter

HOURLY = Rate(10 / 3600, 10)
"""So slow that nothing comes back during a test."""


@pytest.fixture
async def links(services: dict[str, str]) -> AsyncIterator[list[RedisLink]]:
    """Two processes' connections."""
    made = [RedisLink(services["HOLDFAST_REDIS_URL"], timeout=2.0) for _ in range(2)]
    yield made
    for link in made:
        await link.close()


@pytest.fixture(params=["memory", "redis"])
def limiter(request: pytest.FixtureRequest) -> Limiter:
    if request.param == "memory":
        return MemoryLimiter(time.monotonic)
    links: list[RedisLink] = request.getfixturevalue("links")
    return RedisLimiter(links[0], "one")


@pytest.fixture
def subject() -> str:
    return f"tenant/{secrets.token_hex(4)}"


async def test_a_burst_gets_through_and_then_nothing(limiter: Limiter, subject: str) -> None:
    grants = [await limiter.take(subject, HOURLY, 1) for _ in range(12)]
    assert [grant.granted for grant in grants] == [1] * 10 + [0, 0]
    assert [grant.remaining for grant in grants] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert 300 < grants[-1].wait <= 360


async def test_a_cost_is_granted_in_part_and_the_wait_is_for_the_rest(limiter: Limiter, subject: str) -> None:
    await limiter.take(subject, HOURLY, 7)
    grant = await limiter.take(subject, HOURLY, 5)
    assert (grant.granted, grant.remaining) == (3, 0)
    assert 600 < grant.wait <= 720


async def test_subjects_have_buckets_of_their_own(limiter: Limiter, subject: str) -> None:
    assert (await limiter.take(subject, HOURLY, 10)).granted == 10
    assert (await limiter.take(subject + "x", HOURLY, 10)).granted == 10


async def test_of_many_that_ask_at_once_no_more_get_through_than_there_are_tokens(
    limiter: Limiter, subject: str
) -> None:
    grants = await asyncio.gather(*(limiter.take(subject, HOURLY, 1) for _ in range(40)))
    assert sum(grant.granted for grant in grants) == 10


async def test_a_bucket_fills_again(limiter: Limiter, subject: str) -> None:
    rate = Rate(1.0, 5)
    await limiter.take(subject, rate, 5)
    wait = (await limiter.take(subject, rate, 5)).wait
    assert 0 < wait <= 5
    await soon(lambda: granted(limiter.take(subject, rate, 1)))


async def granted(taking: Awaitable[object]) -> bool:
    return bool((await taking).granted)  # type: ignore[attr-defined]


async def test_most_requests_need_no_round_trip(links: list[RedisLink], subject: str, services: dict[str, str]) -> None:
    """Counted by the server: the scripts that name this subject's bucket."""
    limiter, rate = RedisLimiter(links[0], "one"), Rate(1000.0, 1000)
    watching = Redis.from_url(services["HOLDFAST_REDIS_URL"])
    asked = 0
    async with watching.monitor() as monitor:
        for _ in range(600):
            assert (await limiter.take(subject, rate, 1)).granted == 1
        await links[0].redis.set("hf:test:end", subject, ex=5)
        async for seen in monitor.listen():
            if seen["command"].startswith("EVALSHA") and subject in seen["command"]:
                asked += 1
            if seen["command"] == f"SET hf:test:end {subject} EX 5":
                break
    await watching.aclose()
    assert 6 <= asked <= 20, "600 jobs in blocks of 100; a slow machine lets a block expire now and then"


async def test_a_bucket_that_is_empty_is_not_asked_again_and_again(
    links: list[RedisLink], subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = RedisLimiter(links[0], "one")
    await limiter.take(subject, HOURLY, 10)
    await limiter.take(subject, HOURLY, 1)
    monkeypatch.setattr(links[0], "spare", pytest.fail)
    for _ in range(100):
        assert (await limiter.take(subject, HOURLY, 1)).granted == 0


async def test_two_processes_share_one_bucket_but_for_what_the_other_holds(
    links: list[RedisLink], subject: str
) -> None:
    one, two = (RedisLimiter(link, name) for link, name in zip(links, ("one", "two"), strict=True))
    rate = Rate(0.001, 100)
    assert (await one.take(subject, rate, 1)).granted == 1
    taken = [await two.take(subject, rate, 1) for _ in range(120)]
    block = 1
    assert 99 - block <= sum(grant.granted for grant in taken) <= 99


async def test_what_a_process_does_not_spend_it_forgets_and_never_spends_late(
    links: list[RedisLink], subject: str
) -> None:
    now = 0.0
    limiter = RedisLimiter(links[0], "one", lambda: now)
    rate = Rate(0.01, 100)
    block = Rate(100.0, 100)
    await limiter.take(subject, block, 1)  # takes ten, spends one
    await links[0].redis.persist(module.PREFIX + subject)  # a bucket that is soon full again is soon forgotten
    now += module.HOLD * 1.01
    grant = await limiter.take(subject, rate, 100)
    assert grant.granted == 90, "nine of the first block are lost, and one was spent"


async def test_without_redis_each_process_has_its_fair_share_and_then_the_common_bucket_again(
    links: list[RedisLink], subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await links[0].redis.delete(module.PROCESSES)
    one, two = (RedisLimiter(link, name) for link, name in zip(links, ("one", "two"), strict=True))
    for limiter in (one, two):  # each has told that it lives
        await limiter.take(f"{subject}/other", HOURLY, 1)
    await one._report()
    with monkeypatch.context() as away:
        for link in links:
            away.setattr(link, "redis", None)
            away.setattr(link, "call", silence)
        alone = [await limiter.take(subject, HOURLY, 10) for limiter in (one, two)]
        assert [grant.granted for grant in alone] == [5, 5]
        assert (await one.take(subject, HOURLY, 1)).granted == 0
    for link in links:
        link._failing, link._left_alone_until = False, 0.0
    assert (await one.take(subject, HOURLY, 6)).granted == 6, "the bucket in Redis is in force, and full"
    assert (await two.take(subject, HOURLY, 6)).granted == 4


async def silence(command: Awaitable[object]) -> object:
    """What `RedisLink.call` does when nothing comes back."""
    if asyncio.iscoroutine(command):
        command.close()
    raise module.RedisUnavailable("no answer") from RedisTimeout()


async def test_a_bucket_that_is_full_again_is_not_kept(links: list[RedisLink], subject: str) -> None:
    await RedisLimiter(links[0], "one").take(subject, Rate(10.0, 100), 100)
    left = await links[0].redis.pttl(module.PREFIX + subject)
    assert 0 < left <= 11_000
