"""What `/metrics` tells of the census, and when it tells nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from holdfast.adapters.rabbitmq.census import counts
from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.errors import BrokerUnavailable
from holdfast.domain.job import JobState
from holdfast.domain.topology import WORK, work_queue
from holdfast.ports.census import LedgerCount, Observation, Place, QueueCount
from holdfast.telemetry.census import Census

LEDGER = LedgerCount(
    {JobState.QUEUED: 3}, {Place.BROKER: 3}, {}, 2, timedelta(seconds=1.5), {DeadReason.POISONED: 1}, timedelta(hours=1)
)

QUEUES = dict.fromkeys(map(work_queue, WORK), QueueCount())


def told(observation: Observation | None) -> str:
    registry, census = CollectorRegistry(), Census()
    registry.register(census)
    census.show(observation)
    return generate_latest(registry).decode()


def test_what_was_seen_is_told() -> None:
    text = told(Observation(LEDGER, QUEUES | {"holdfast.image": QueueCount(4, 5, 2)}, {"image": 0, "pdf": 2}))
    for line in (
        'holdfast_jobs{state="queued"} 3.0',
        'holdfast_jobs_in{place="broker"} 3.0',
        'holdfast_jobs_unaccounted{queue="pdf"} 2.0',
        'holdfast_dead_letters{reason="poisoned"} 1.0',
        'holdfast_dead_letters{reason="expired"} 0.0',
        "holdfast_dead_letters_oldest_seconds 3600.0",
        "holdfast_outbox_rows 2.0",
        "holdfast_outbox_oldest_seconds 1.5",
        'holdfast_queue_messages{queue="holdfast.image",state="unacked"} 5.0',
        'holdfast_queue_consumers{queue="image"} 2.0',
    ):
        assert line in text.splitlines()


def test_without_the_broker_only_the_ledger_speaks() -> None:
    text = told(Observation(LEDGER, None, None))
    assert "holdfast_outbox_rows" in text
    assert "unaccounted" not in text
    assert "holdfast_queue_messages" not in text


def test_who_does_not_lead_tells_nothing() -> None:
    assert told(None) == ""


def test_a_queue_that_is_gone_holds_nothing_and_one_without_a_count_is_no_answer() -> None:
    found = counts({"holdfast.image": {"name": "holdfast.image", "messages_ready": 1, "messages_unacknowledged": 2}})
    assert found["holdfast.image"] == QueueCount(1, 2, 0)
    assert found["holdfast.pdf"] == QueueCount()
    with pytest.raises(BrokerUnavailable, match=r"holdfast\.image"):
        counts({"holdfast.image": {"name": "holdfast.image", "state": "down"}})
