"""The lines that CloudWatch makes the metric `Backlog` of."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from holdfast.domain.errors import LedgerUnavailable
from holdfast.domain.topology import POOLS, WORK
from holdfast.ports.activity import Activity, Waiting
from holdfast.steward import loops
from holdfast.telemetry.cloudwatch import CloudWatch

NOW = 1_700_000_000.5


class Ledger:
    """Says what waits, or that it is away."""

    def __init__(self, waiting: Sequence[Waiting] | None) -> None:
        self._waiting = waiting

    async def activity(self, window: timedelta) -> Activity:
        raise NotImplementedError

    async def waiting(self) -> Sequence[Waiting]:
        if self._waiting is None:
            raise LedgerUnavailable("away")
        return self._waiting


def waits(queue: str, jobs: int, priority: int = 12) -> Waiting:
    return Waiting(queue, priority, jobs, timedelta(seconds=1))


def told(*waiting: Waiting) -> list[dict[str, Any]]:
    out = io.StringIO()
    asyncio.run(loops.tell_backlog(Ledger(waiting), CloudWatch("Holdfast/test", out, lambda: NOW).tell).turn())
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_worker_service_is_told_the_jobs_of_all_its_queues_and_priorities() -> None:
    lines = told(waits("image", 3, 24), waits("image", 4, 4), waits("pdf", 5), waits("custom", 6))
    assert {line["Service"]: line["Backlog"] for line in lines} == {"worker-render": 12, "worker-webhook": 6}


def test_nothing_that_waits_is_told_as_zero() -> None:
    assert [line["Backlog"] for line in told()] == [0, 0]


def test_a_line_is_in_the_embedded_metric_format() -> None:
    assert told(waits("webhook", 7))[1] == {
        "_aws": {
            "Timestamp": 1_700_000_000_500,
            "CloudWatchMetrics": [
                {
                    "Namespace": "Holdfast/test",
                    "Dimensions": [["Service"]],
                    "Metrics": [{"Name": "Backlog", "Unit": "Count"}],
                }
            ],
        },
        "Service": "worker-webhook",
        "Backlog": 7,
    }


def test_a_ledger_that_is_away_is_told_as_nothing_not_as_zero() -> None:
    out = io.StringIO()
    with pytest.raises(LedgerUnavailable):
        asyncio.run(loops.tell_backlog(Ledger(None), CloudWatch("Holdfast/test", out).tell).turn())
    assert out.getvalue() == ""


def test_every_work_queue_belongs_to_one_worker_service() -> None:
    assert sorted(queue for queues in POOLS.values() for queue in queues) == sorted(WORK)
