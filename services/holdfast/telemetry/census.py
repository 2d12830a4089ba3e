"""What the steward saw last: jobs by state and place, depths, ages. Looked at by the census, not counted.

It is there only in the process that leads, so that no two processes tell it and nobody tells what is out of date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.job import JobState
from holdfast.domain.topology import DEAD, WORK, retry_queues, work_queue
from holdfast.ports.census import Observation, Place
from holdfast.telemetry.families import Label, Sight

_queue = Label("queue", lambda: WORK)
QUEUES = (*map(work_queue, WORK), *(retry.name for retry in retry_queues()), DEAD)
OPEN_STATES = tuple(state for state in JobState if state not in {JobState.SUCCEEDED, JobState.CANCELLED})

JOBS = Sight(
    "holdfast_jobs",
    "Jobs, of every state but succeeded and cancelled.",
    (Label("state", lambda: OPEN_STATES),),
)
JOBS_IN = Sight(
    "holdfast_jobs_in",
    "Jobs that have not ended, by who moves them on.",
    (Label("place", lambda: Place),),
)
UNACCOUNTED = Sight(
    "holdfast_jobs_unaccounted", "Jobs whose ticket is nowhere; absent while that is not known.", (_queue,)
)
LETTERS = Sight("holdfast_dead_letters", "Open dead letters.", (Label("reason", lambda: DeadReason),))
LETTERS_OLDEST = Sight("holdfast_dead_letters_oldest_seconds", "Age of the oldest open dead letter; 0 without one.")
OUTBOX = Sight("holdfast_outbox_rows", "Tickets that are committed and not confirmed.")
OUTBOX_OLDEST = Sight("holdfast_outbox_oldest_seconds", "Age of the oldest of them: the lag of the outbox.")
MESSAGES = Sight(
    "holdfast_queue_messages",
    "Messages of each RabbitMQ queue; some seconds old, absent while the broker does not tell.",
    (Label("queue", lambda: QUEUES, "the name of a queue"), Label("state", lambda: ("ready", "unacked"))),
)
CONSUMERS = Sight(
    "holdfast_queue_consumers",
    "Consumers of each work queue; some seconds old, absent while the broker does not tell.",
    (_queue,),
)
SIGHTS = (JOBS, JOBS_IN, UNACCOUNTED, LETTERS, LETTERS_OLDEST, OUTBOX, OUTBOX_OLDEST, MESSAGES, CONSUMERS)


K = TypeVar("K", bound=str)


class Census(Collector):
    """What was seen, for as long as it is true."""

    def __init__(self) -> None:
        self._seen: Observation | None = None

    def show(self, observation: Observation | None) -> None:
        """Tell this from now on; None for nothing."""
        self._seen = observation

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called at every scrape."""
        seen = self._seen
        if seen is None:
            return
        ledger = seen.ledger
        yield _by(JOBS, ledger.states)
        yield _by(JOBS_IN, ledger.places)
        yield _by(LETTERS, {reason: ledger.open_letters.get(reason, 0) for reason in DeadReason})
        yield one(LETTERS_OLDEST, ledger.oldest_letter.total_seconds())
        yield one(OUTBOX, ledger.outbox_rows)
        yield one(OUTBOX_OLDEST, ledger.outbox_oldest.total_seconds())
        if seen.unaccounted is not None:
            yield _by(UNACCOUNTED, seen.unaccounted)
        if seen.queues is not None:
            counts = seen.queues.items()
            ready = (((name, "ready"), count.ready) for name, count in counts)
            unacked = (((name, "unacked"), count.unacked) for name, count in counts)
            yield family_of(MESSAGES, (*ready, *unacked))
            yield _by(CONSUMERS, {name: seen.queues[work_queue(name)].consumers for name in WORK})


def one(sight: Sight, value: float) -> GaugeMetricFamily:
    """A sight without labels, now."""
    return GaugeMetricFamily(sight.name, sight.text, value=value)


def _by(sight: Sight, values: Mapping[K, int]) -> GaugeMetricFamily:
    return family_of(sight, (((key,), value) for key, value in values.items()))


def family_of(sight: Sight, values: Iterable[tuple[tuple[str, ...], float]]) -> GaugeMetricFamily:
    """A sight with a value for each combination of labels, now."""
    family = GaugeMetricFamily(sight.name, sight.text, labels=[label.name for label in sight.labels])
    for labels, value in values:
        family.add_metric([str(label) for label in labels], value)
    return family


CENSUS = Census()
