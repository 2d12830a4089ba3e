"""What the hot paths cost in bytecode instructions: a bound for each, a quarter above what was counted.

The counts are exact and the same at any load, so a change that makes a path a quarter longer fails here, and must say
why. Interpreters count differently; the bounds are for the one that is counted.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog
from engine_world import World, ticket

from bench.counting import instructions_of, instructions_of_each
from holdfast.domain.backoff import RetryPolicy
from holdfast.domain.downstream import Ask, Downstream
from holdfast.domain.downstream_policy import DownstreamPolicy
from holdfast.handlers.webhook.signature import sign
from holdfast.telemetry import logs
from ledger_world import make_job, make_request

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the bounds are those of Python 3.11")
TRACED = f"00-{'ab' * 16}-{'cd' * 8}-01"
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


@pytest.fixture
def as_json(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lines as a process writes them."""
    before = logging.root.handlers[:], logging.root.level
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    structlog.reset_defaults()
    logs.configure("INFO", "json", "test")
    yield
    logging.root.handlers, level = before
    logging.root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("as_json")
def test_a_line_of_a_job_is_cheap() -> None:
    log, about = structlog.get_logger("bench"), logs.of_job(make_job(traceparent=TRACED))
    assert instructions_of(lambda: log.info("job_accepted", **about, state="queued")) < 377


@pytest.mark.usefixtures("as_json")
async def test_a_submit_is_cheap_in_our_own_code() -> None:
    """Over the memory adapters: validation, gate, group, ledger, outbox, ticket, line."""
    world = World()
    assert await instructions_of_each(lambda number: world.accepted(key=f"key-{number}")) < 11_290


@pytest.mark.usefixtures("as_json")
async def test_a_job_of_a_batch_is_cheaper_still() -> None:
    world = World()

    async def batch(number: int) -> None:
        await world.submit.submit_all([make_request(key=f"key-{number}-{place}") for place in range(100)])
        await world.dispatch.idle()

    assert await instructions_of_each(batch, times=3) / 100 < 3_070


@pytest.mark.usefixtures("as_json")
async def test_an_attempt_is_cheap_in_our_own_code() -> None:
    """Over the memory adapters: claim, handler, settle, two lines."""
    world = World()
    for number in range(30):
        await world.accepted(key=f"key-{number}")
    tickets = [ticket(envelope) for envelope in world.broker.published]

    assert await instructions_of_each(lambda number: world.execute.execute(tickets[number])) < 11_950
