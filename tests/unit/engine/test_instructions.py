"""What the hot paths cost in bytecode instructions: a bound for each, a quarter above what was counted.

The counts are exact and the same at any load, so a change that makes a path a quarter longer fails here, and must say
why. Interpreters count differently; the bounds are for the one that is counted.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest
from engine_world import World, ticket

from bench.counting import instructions_of, instructions_of_each
from holdfast.domain.backoff import RetryPolicy
from holdfast.domain.downstream import Ask, Downstream
from holdfast.domain.downstream_policy import DownstreamPolicy
from holdfast.handlers.webhook.signature import sign

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the bounds are those of Python 3.11")
BODY = b'{"order": 1}'
SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def test_a_wait_between_attempts_is_cheap_to_choose() -> None:
    policy = RetryPolicy()
    assert instructions_of(lambda: policy.after_failure(5, 0.5)) < 153


def test_a_signature_is_cheap() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert instructions_of(lambda: sign("msg_1", now, BODY, [SECRET])) < 237


def test_a_closed_breaker_admits_cheaply() -> None:
    breaker, ask, policy = Downstream(), Ask("here:1", "lease", 500_000), DownstreamPolicy()
    assert instructions_of(lambda: breaker.admit(ask, 1_000_000, policy)) < 1_480


async def test_a_submit_is_cheap_in_our_own_code() -> None:
    """Over the memory adapters: validation, gate, group, ledger, outbox, ticket."""
    world = World()
    assert await instructions_of_each(lambda number: world.accepted(key=f"key-{number}")) < 12_900


async def test_an_attempt_is_cheap_in_our_own_code() -> None:
    """Over the memory adapters: claim, handler, settle."""
    world = World()
    for number in range(30):
        await world.accepted(key=f"key-{number}")
    tickets = [ticket(envelope) for envelope in world.broker.published]

    assert await instructions_of_each(lambda number: world.execute.execute(tickets[number])) < 15_400
