"""How the waits of a burst of failures are spread: 1,000 jobs fail at about the same time, and come back.

Two plain consumers listen beside the queues: one on `holdfast.retry`, where a failed job's ticket goes to wait, and
one on `holdfast.jobs`, where the broker puts it back. So the wait is timed without the worker pool. The ledger's
times are reported too: from the end of the first attempt to the begin of the second, which has the pool's own
queue on top.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import amqp
from kombu.utils.url import parse_url

from harness import eventually
from holdfast.client import Holdfast
from holdfast.client.models import JobRequest
from holdfast.domain.topology import JOBS, RETRY

from .world import query

TIER = 2.0
BINDING = "2s.*.custom"
SPANS = """
SELECT a.job_id::text AS id, extract(epoch FROM a.finished_at)::float AS failed,
       extract(epoch FROM b.started_at)::float AS again
FROM attempts a JOIN attempts b ON b.job_id = a.job_id AND a.number = 1 AND b.number = 2
WHERE a.job_id = ANY($1::uuid[])
"""
Waits = list[float]


@dataclass(slots=True)
class Probe:
    """A consumer on a queue of its own, that notes when the ticket of each job comes by, and by which key."""

    url: str
    exchange: str
    arrived: dict[str, tuple[float, str]] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _listening: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Probe:
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        assert self._listening.wait(10), f"no consumer on {self.exchange}"
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    _thread: threading.Thread = field(init=False)

    def _listen(self) -> None:
        parts = parse_url(self.url)
        with amqp.Connection(
            f"{parts['hostname']}:{parts['port']}",
            parts["userid"],
            parts["password"],
            virtual_host=parts["virtual_host"],
        ) as connection:
            channel = connection.channel()
            queue = channel.queue_declare("", exclusive=True, durable=False).queue
            channel.queue_bind(queue, self.exchange, BINDING)
            channel.basic_consume(queue, no_ack=True, callback=self._note)
            self._listening.set()
            while not self._over.is_set():
                try:
                    connection.drain_events(timeout=0.2)
                except TimeoutError:
                    continue

    def _note(self, message: Any) -> None:
        job_id = message.properties["correlation_id"]
        self.arrived.setdefault(job_id, (time.time(), message.delivery_info["routing_key"]))


def measure(rabbitmq: str, ledger: str, api: str, jobs: int = 1000) -> dict[str, Any]:
    """Submit the burst, wait until all have succeeded at the second attempt, and compare the times."""
    requests = [JobRequest(kind="test.flaky", payload={"fail_until": 1}) for _ in range(jobs)]
    with Probe(rabbitmq, RETRY) as leaving, Probe(rabbitmq, JOBS) as returning, Holdfast(api) as client:
        ids = [outcome.job.id for outcome in client.batch(requests) if outcome.job]
        eventually(lambda: len(query(ledger, SPANS, ids)), lambda done: done == jobs, within=60, every=0.5)
        eventually(lambda: len(returning.arrived), lambda seen: seen >= jobs, within=10)
    spans = {row["id"]: (row["failed"], row["again"]) for row in query(ledger, SPANS, ids)}
    buckets = Counter(returning.arrived[job_id][1] for job_id in ids)
    first = min(failed for failed, _ in spans.values())
    return {
        "jobs": jobs,
        "all failed within seconds": round(max(failed for failed, _ in spans.values()) - first, 3),
        "buckets": dict(sorted(buckets.items())),
        "in the broker": spread([returning.arrived[i][0] - leaving.arrived[i][0] for i in ids]),
        "failure to work queue": spread([returning.arrived[i][0] - spans[i][0] for i in ids]),
        "failure to next attempt": spread([again - failed for failed, again in spans.values()]),
        "waits": sorted(round(returning.arrived[i][0] - spans[i][0], 3) for i in ids),
    }


def spread(waits: Waits) -> dict[str, float]:
    """Least, p10, p50, p90 and longest, in seconds."""
    ordered = sorted(waits)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return {"min": at(0), "p10": at(0.1), "p50": at(0.5), "p90": at(0.9), "max": at(1)}


def histogram(waits: Sequence[float], *, step: float = 0.05) -> str:
    """The waits as an SVG: one bar for each `step` seconds."""
    bins = Counter(int((wait - TIER) / step) for wait in waits)
    last, most = max(bins), max(bins.values())
    wide, high, left, low = 620, 220, 40, 180
    bar = (wide - left - 20) / (last + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{left}" y="16">{len(waits)} failed jobs: seconds until each was back in its work queue</text>',
    ]
    for index in range(last + 1):
        tall = bins[index] / most * (low - 30)
        x = left + index * bar
        parts.append(
            f'<rect x="{x:.1f}" y="{low - tall:.1f}" width="{bar - 1:.1f}" height="{tall:.1f}" fill="#3b6ea5">'
            f"<title>{TIER + index * step:.2f} s: {bins[index]}</title></rect>"
        )
        if index % 4 == 0:
            parts.append(f'<text x="{x:.1f}" y="{low + 14}">{TIER + index * step:.1f}</text>')
    parts.append(f'<line x1="{left}" y1="{low}" x2="{wide - 20}" y2="{low}" stroke="#333"/>')
    parts.append(f'<text x="8" y="{low - (low - 30):.0f}">{most}</text></svg>')
    return "\n".join(parts) + "\n"
