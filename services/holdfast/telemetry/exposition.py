"""What a process tells Prometheus: the families of its parts, what the steward saw, and the process itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from holdfast import __version__
from holdfast.telemetry import census, pool, prefork, waiting
from holdfast.telemetry.families import CATALOGUE, EVERY, Family, Label, Sight, Teller, told_by
from holdfast.telemetry.metrics import KINDS

ROLES = ("api", "worker-render", "worker-webhook", "steward")
PROCESS = Sight(
    "holdfast_process_info",
    "1, labelled with what runs.",
    (
        Label("role", lambda: ROLES),
        Label("version", lambda: (__version__,), "the version of Holdfast"),
    ),
    EVERY,
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric, as a reader of `docs/metrics.md` finds it."""

    name: str
    type: str
    labels: Sequence[Label]
    by: frozenset[Teller]
    text: str


def begin(tellers: Iterable[Teller], kinds: Iterable[str]) -> None:
    """Let every series of this process begin at zero, for these kinds."""
    disable_created_metrics()  # type: ignore[no-untyped-call] # a second series each, which nothing here reads
    KINDS.register(kinds)
    for family in told_by(tellers):
        family.show()


def documented() -> list[Metric]:
    """Every metric that some process tells of itself, with its name as Prometheus sees it."""
    counted = [Metric(_name(it), it.kind.__name__.lower(), it.labels, it.by, it.text) for it in CATALOGUE]
    seen = [
        Metric(it.name, "gauge", it.labels, it.by, it.text)
        for it in (*census.SIGHTS, *waiting.SIGHTS, *pool.SIGHTS, PROCESS)
    ]
    return counted + seen


def _name(family: Family[Any]) -> str:
    return f"{family.name}_total" if family.kind is Counter else family.name


class Exposition:
    """Renders `/metrics`: of this process, or of all that share their counts with it.

    `alone` says that no other process answers in its place, so that it tells of its own memory and time, too.
    """

    def __init__(self, role: str, tellers: Iterable[Teller], *, alone: bool = True) -> None:
        tellers = frozenset(tellers)
        self._registry = CollectorRegistry()
        folder = prefork.folder()
        if folder is None:
            for family in told_by(tellers):
                self._registry.register(family.metric)
        else:
            MultiProcessCollector(self._registry, str(folder))  # type: ignore[no-untyped-call]
        if Teller.STEWARD in tellers:
            self._registry.register(census.CENSUS)
            self._registry.register(pool.POOL)
            self._registry.register(waiting.DEPTHS)
        self._registry.register(_Process(role))
        PlatformCollector(registry=self._registry)
        if alone:
            ProcessCollector(registry=self._registry)
            GCCollector(registry=self._registry)

    def text(self) -> bytes:
        """The present values, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Process(Collector):
    def __init__(self, role: str) -> None:
        self._role = role

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(PROCESS.name, PROCESS.text, labels=[label.name for label in PROCESS.labels])
        family.add_metric([self._role, __version__], 1)
        yield family
