"""Prometheus metrics. Every label has a closed set of values.

    holdfast_jobs{state}                    jobs, of every state but succeeded and cancelled
    holdfast_jobs_in{place}                 jobs that have not ended, by who moves them on (ports.census)
    holdfast_jobs_unaccounted{queue}        jobs whose ticket is nowhere (engine.conserve); absent while not known
    holdfast_outbox_rows                    tickets that are committed and not confirmed
    holdfast_outbox_oldest_seconds          age of the oldest of them
    holdfast_dead_letters{reason}           open dead letters
    holdfast_queue_messages{queue,state}    messages of each RabbitMQ queue, `ready` or `unacked`; some seconds old
    holdfast_steward_leading                1 in the process that is steward
    holdfast_steward_loop_seconds{loop}     how long a turn of each loop of the steward took
    holdfast_tickets_replaced_total{queue}  tickets written anew because they were lost
    holdfast_redis_unavailable_total        commands that Redis did not answer, or was spared after a failure

What comes from the census is there only in the process that leads, so that no two processes tell it and nobody
tells what is out of date.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from holdfast.ports.census import Observation

LEADING = Gauge("holdfast_steward_leading", "Whether this process is steward.")
LOOP_SECONDS = Histogram(
    "holdfast_steward_loop_seconds",
    "How long a turn of a steward's loop took.",
    ["loop"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60),
)
TICKETS_REPLACED = Counter("holdfast_tickets_replaced", "Tickets written anew because they were lost.", ["queue"])
REDIS_UNAVAILABLE = Counter("holdfast_redis_unavailable", "Commands that Redis did not answer.")


class Census(Collector):
    """What the steward saw last, for as long as it is true."""

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
        yield _by("holdfast_jobs", "Jobs, of every state but succeeded and cancelled.", "state", ledger.states.items())
        yield _by("holdfast_jobs_in", "Jobs that have not ended, by place.", "place", ledger.places.items())
        yield _by("holdfast_dead_letters", "Open dead letters.", "reason", ledger.open_letters.items())
        yield GaugeMetricFamily("holdfast_outbox_rows", "Unconfirmed tickets.", value=ledger.outbox_rows)
        oldest = ledger.outbox_oldest.total_seconds()
        yield GaugeMetricFamily("holdfast_outbox_oldest_seconds", "Age of the oldest unconfirmed ticket.", value=oldest)
        if seen.unaccounted is not None:
            yield _by("holdfast_jobs_unaccounted", "Jobs whose ticket is nowhere.", "queue", seen.unaccounted.items())
        if seen.queues is not None:
            messages = GaugeMetricFamily("holdfast_queue_messages", "Messages of a queue.", labels=["queue", "state"])
            for name, count in seen.queues.items():
                messages.add_metric([name, "ready"], count.ready)
                messages.add_metric([name, "unacked"], count.unacked)
            yield messages


def _by(name: str, text: str, label: str, values: Iterable[tuple[str, int]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values:
        family.add_metric([str(key)], value)
    return family


CENSUS = Census()
REGISTRY.register(CENSUS)
