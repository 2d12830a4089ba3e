"""What has just happened, over the ledger in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from holdfast.adapters.memory.ledger import MemoryLedger
from holdfast.domain.attempt import Attempt, AttemptState
from holdfast.domain.job import Job, JobState
from holdfast.ports.activity import Activity, KindActivity, Percentiles, Waiting


class MemoryRecent:
    """Implements `ports.activity.Recent` over a MemoryLedger."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def activity(self, window: timedelta) -> Activity:
        """Walk over every record."""
        since = self._ledger.clock.now() - window
        jobs = [record.job for record in self._ledger.records.values()]
        ended: dict[str, list[tuple[Job, Attempt]]] = defaultdict(list)
        for job in jobs:
            for attempt in await self._ledger.attempts(job.id):
                if attempt.finished_at is not None and attempt.finished_at > since:
                    ended[job.kind].append((job, attempt))
        kinds = [_kind(kind, ended[kind]) for kind in sorted(ended)]
        return Activity(window, sum(job.created_at >= since for job in jobs), kinds)

    async def waiting(self) -> Sequence[Waiting]:
        """Walk over every record."""
        now, found = self._ledger.clock.now(), defaultdict[tuple[str, int], list[timedelta]](list)
        for record in self._ledger.records.values():
            if record.job.state is JobState.QUEUED:
                found[record.job.queue, -record.job.priority].append(now - record.since)
        return [Waiting(queue, -minus, len(ages), max(ages)) for (queue, minus), ages in sorted(found.items())]


def _kind(kind: str, ended: Sequence[tuple[Job, Attempt]]) -> KindActivity:
    counts = Counter(attempt.state for _, attempt in ended)
    return KindActivity(
        kind,
        {state: counts[state] for state in AttemptState if state is not AttemptState.RUNNING},
        sum(
            attempt.state is AttemptState.FAILED and job.state is JobState.DEAD and attempt.number == job.attempt
            for job, attempt in ended
        ),
        _percentiles([_between(attempt.started_at, attempt.finished_at) for _, attempt in ended]),
        _percentiles(
            [
                _between(job.created_at, job.finished_at)
                for job, attempt in ended
                if attempt.state is AttemptState.SUCCEEDED
            ]
        ),
    )


def _between(start: datetime, end: datetime | None) -> float:
    """Seconds; of what has ended."""
    return (end - start).total_seconds() if end is not None else 0.0


def _percentiles(values: Sequence[float]) -> Percentiles | None:
    if not values:
        return None
    ordered = sorted(values)
    return Percentiles(*(_continuous(ordered, share) for share in (0.5, 0.95, 0.99)))


def _continuous(ordered: Sequence[float], share: float) -> float:
    """As SQL's percentile_cont: between two neighbours by their distance."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
