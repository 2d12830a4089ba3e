"""The circuit breakers and workers of the whole pool, as the steward saw them; only in the process that leads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from holdfast.domain.circuit import CircuitState
from holdfast.domain.topology import POOLS
from holdfast.ports.downstreams import Known, Worker
from holdfast.telemetry.census import family_of, one
from holdfast.telemetry.families import Label, Sight
from holdfast.telemetry.label_values import FAMILIES, family_name
from holdfast.telemetry.metrics import DOWNSTREAM

_pool = Label("pool", lambda: POOLS)
BREAKERS = Sight(
    "holdfast_breakers",
    "Circuit breakers of which anything is known, by state.",
    (DOWNSTREAM, Label("state", lambda: CircuitState)),
)
LONGEST = Sight(
    "holdfast_breaker_not_closed_seconds", "For how long a breaker has not been closed: the longest.", (DOWNSTREAM,)
)
OVERRIDDEN = Sight("holdfast_breakers_overridden", "Breakers that an operator has forced open or closed.")
WORKERS = Sight("holdfast_workers", "Processes in which jobs run that are alive.", (_pool,))
SLOTS = Sight("holdfast_workers_slots", "Attempts that they can have under way.", (_pool,))
BUSY = Sight("holdfast_workers_busy", "Attempts that they have under way.", (_pool,))
SIGHTS = (BREAKERS, LONGEST, OVERRIDDEN, WORKERS, SLOTS, BUSY)


class Pool(Collector):
    """What was seen, for as long as it is true."""

    def __init__(self) -> None:
        self._seen: tuple[Sequence[Known], Sequence[Worker], int] | None = None

    def show(self, seen: tuple[Sequence[Known], Sequence[Worker], int] | None) -> None:
        """Tell this from now on: breakers, workers, and the store's time in Unix milliseconds; None for nothing."""
        self._seen = seen

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Called at every scrape."""
        if self._seen is None:
            return
        breakers, workers, now = self._seen
        names = (*FAMILIES, "other")
        states = Counter((family_name(it.name), it.state) for it in breakers)
        yield family_of(BREAKERS, (((name, state), states[name, state]) for name in names for state in CircuitState))
        since = dict.fromkeys(names, now)
        for it in breakers:
            if it.state is not CircuitState.CLOSED:
                since[family_name(it.name)] = min(since[family_name(it.name)], it.since)
        yield family_of(LONGEST, (((name,), (now - began) / 1000) for name, began in since.items()))
        yield one(OVERRIDDEN, sum(it.override is not None for it in breakers))
        of = {pool: [it for it in workers if it.pool == pool] for pool in POOLS}
        yield family_of(WORKERS, (((pool,), len(found)) for pool, found in of.items()))
        yield family_of(SLOTS, (((pool,), sum(it.concurrency for it in found)) for pool, found in of.items()))
        yield family_of(BUSY, (((pool,), sum(it.busy for it in found)) for pool, found in of.items()))


POOL = Pool()
