"""The backlog of each worker service, for CloudWatch, which scales the workers by it.

A line of JSON on standard output in the embedded metric format: CloudWatch takes the metric out of the log that the
line ends up in anyway, so there is nothing to call, no permission to have and nothing to wait for. A line that is lost
is one of two a minute.

Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

import orjson

from holdfast.domain.topology import POOLS
from holdfast.ports.activity import Waiting

METRIC = "Backlog"
"""Jobs that are queued and not begun."""
DIMENSION = "Service"
"""`worker-render` or `worker-webhook`."""


class CloudWatch:
    """Writes to `out` (standard output), in `namespace`; `now` is Unix time in seconds."""

    def __init__(self, namespace: str, out: TextIO | None = None, now: Callable[[], float] = time.time) -> None:
        self._namespace, self._out, self._now = namespace, out, now

    def tell(self, waiting: Sequence[Waiting]) -> None:
        """A line for each worker service, zeros included: nothing at all would mean that nobody looked."""
        out = self._out or sys.stdout
        for metric in self._metrics(waiting):
            out.write(orjson.dumps(metric).decode() + "\n")
        out.flush()

    def _metrics(self, waiting: Sequence[Waiting]) -> Iterator[dict[str, Any]]:
        jobs = Counter[str]()
        for line in waiting:
            jobs[line.queue] += line.jobs
        for pool, queues in POOLS.items():
            yield {
                "_aws": {
                    "Timestamp": int(self._now() * 1000),
                    "CloudWatchMetrics": [
                        {
                            "Namespace": self._namespace,
                            "Dimensions": [[DIMENSION]],
                            "Metrics": [{"Name": METRIC, "Unit": "Count"}],
                        }
                    ],
                },
                DIMENSION: f"worker-{pool}",
                METRIC: sum(jobs[queue] for queue in queues),
            }
