"""Jobs that are queued and not begun, by work queue and priority; only in the process that leads.

RabbitMQ does not tell the depth of a quorum queue by priority, but the ledger knows the priority of each job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from holdfast.domain.job import PRIORITIES
from holdfast.domain.topology import WORK
from holdfast.ports.activity import Waiting
from holdfast.telemetry.census import family_of
from holdfast.telemetry.families import Label, Sight

BANDS = tuple(sorted(PRIORITIES, key=PRIORITIES.__getitem__, reverse=True))
"""high, default, low: each from its own number up to the next one's; what lies below the last belongs to it."""
WAITING = Sight(
    "holdfast_jobs_waiting",
    "Jobs that are queued and not begun, by work queue and priority.",
    (Label("queue", lambda: WORK), Label("priority", lambda: BANDS)),
)
SIGHTS = (WAITING,)


def band(priority: int) -> str:
    """The name of the highest band that the number reaches."""
    return next((name for name in BANDS if priority >= PRIORITIES[name]), BANDS[-1])


class Depths(Collector):
    """What was seen, for as long as it is true."""

    def __init__(self) -> None:
        self._seen: Sequence[Waiting] | None = None

    def show(self, seen: Sequence[Waiting] | None) -> None:
        """Tell this from now on; None for nothing."""
        self._seen = seen

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called at every scrape."""
        if self._seen is None:
            return
        jobs = Counter[tuple[str, str]]()
        for line in self._seen:
            jobs[line.queue, band(line.priority)] += line.jobs
        yield family_of(WAITING, (((queue, name), jobs[queue, name]) for queue in WORK for name in BANDS))


DEPTHS = Depths()
