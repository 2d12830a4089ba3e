"""Small rules: the way through the broker, why a ticket is refused, who a caller is, what a signed link permits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.domain.attempt import Refusal, Ticket, refusal
from holdfast.domain.backoff import JITTER_STEPS, TIERS, BrokerWait
from holdfast.domain.job import JobState
from holdfast.domain.signed_url import sign, verify
from holdfast.domain.tenancy import KEY_PREFIX, key_digest, new_key
from holdfast.domain.topology import JOBS, RETRY, WORK, Route, retry_queues, to_wait, to_work, work_queue

ID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def matches(pattern: str, key: str) -> bool:
    """Whether a topic binding of RabbitMQ takes a routing key; `#` stands for any number of words."""
    want, words = pattern.split("."), key.split(".")
    if want[0] == "#":
        return words[-len(want) + 1 :] == want[1:] if want[1:] else True
    return want[-1] == "#" and words[: len(want) - 1] == want[:-1]


def test_there_are_twenty_retry_queues_with_names_of_their_own() -> None:
    queues = list(retry_queues())
    assert len(queues) == len({queue.name for queue in queues}) == len({queue.binding for queue in queues}) == 20
    assert queues[0].name == "holdfast.retry.2s.0"
    assert queues[-1].name == "holdfast.retry.32s.3"


@pytest.mark.parametrize("queue", WORK)
@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("bucket", range(len(JITTER_STEPS)))
def test_a_message_that_waits_goes_to_one_retry_queue_and_then_home(queue: str, tier: int, bucket: int) -> None:
    wait = BrokerWait(tier, bucket)
    route = to_wait(queue, wait)
    assert route.exchange == RETRY
    waiting = [at for at in retry_queues() if matches(at.binding, route.routing_key)]
    assert [timedelta(milliseconds=at.ttl_ms) for at in waiting] == [wait.duration]
    homes = [work_queue(name) for name in WORK if matches(f"#.{name}", route.routing_key)]
    assert homes == [work_queue(queue)], "dead-lettered to the jobs exchange with the key that it had"


@pytest.mark.parametrize("queue", WORK)
def test_a_fresh_message_goes_to_its_bulkhead_alone(queue: str) -> None:
    assert to_work(queue) == Route(JOBS, queue)
    assert [name for name in WORK if matches(f"#.{name}", queue)] == [queue]


@pytest.mark.parametrize(
    ("state", "attempt", "expected"),
    [
        (JobState.RUNNING, 3, Refusal.HELD),
        (JobState.DEAD, 3, Refusal.DEAD),
        (JobState.SUCCEEDED, 3, Refusal.SETTLED),
        (JobState.CANCELLED, 3, Refusal.SETTLED),
        (JobState.SCHEDULED, 3, Refusal.SETTLED),
        (JobState.RUNNING, 4, Refusal.SETTLED),
        (JobState.DEAD, 4, Refusal.SETTLED),
        (JobState.WAITING, 4, Refusal.SETTLED),
        (JobState.QUEUED, 2, Refusal.SETTLED),
    ],
)
def test_a_refusal_says_why(state: JobState, attempt: int, expected: Refusal) -> None:
    assert refusal(state, attempt, Ticket(ID, 3)) is expected


def test_only_the_dead_and_the_unknown_are_dead_lettered() -> None:
    assert {why for why in Refusal if why.dead} == {Refusal.DEAD, Refusal.UNKNOWN}


def test_keys_are_drawn_anew_and_only_their_digest_is_kept() -> None:
    keys = {new_key() for _ in range(50)}
    assert len(keys) == len({key_digest(key) for key in keys}) == 50
    assert all(key.startswith(KEY_PREFIX) and len(key) >= 45 for key in keys)
    key = keys.pop()
    assert len(key_digest(key)) == 32
    assert key.encode() not in key_digest(key)


KEY = b"a signing key of some length"
PATH = "/v1/jobs/1/artifacts/a.png"


def link(expires: datetime = NOW + timedelta(minutes=5), key: bytes = KEY) -> tuple[str, str]:
    query = parse_qs(sign(PATH, expires, key))
    return query["expires"][0], query["signature"][0]


def test_a_signed_link_works_until_it_expires() -> None:
    expires, signature = link()
    assert verify(PATH, expires, signature, KEY, NOW)
    assert verify(PATH, expires, signature, KEY, NOW + timedelta(minutes=4, seconds=59))
    assert not verify(PATH, expires, signature, KEY, NOW + timedelta(minutes=5))


def test_a_signed_link_permits_one_path_until_one_time_under_one_key() -> None:
    expires, signature = link()
    assert not verify(PATH + "x", expires, signature, KEY, NOW)
    assert not verify(PATH, str(int(expires) + 1), signature, KEY, NOW)
    assert not verify(PATH, expires, signature, b"another key", NOW)
    assert not verify(PATH, expires, signature.upper(), KEY, NOW)


@given(st.text(max_size=20), st.text(max_size=70))
def test_no_made_up_query_passes_or_breaks_the_check(expires: str, signature: str) -> None:
    assert not verify(PATH, expires, signature, KEY, NOW)


@pytest.mark.parametrize("expires", ["", "-1", "1e9", "٣", "9" * 13, " 1", "1 "])
def test_an_expiry_is_plain_digits(expires: str) -> None:
    assert not verify(PATH, expires, "0" * 64, KEY, NOW)
