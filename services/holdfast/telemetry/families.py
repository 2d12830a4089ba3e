"""Metric families whose labels have closed sets of values, each declared once with its meaning.

Invariant: whatever a caller says, a label takes one of the values that its `Label` lists; anything else counts as
`other`, or is a defect where the label has none. So the number of series is bounded before the first request.

A family is built when the process begins to tell it (`exposition.begin`), because a worker that forks has to choose
beforehand how its children share their counts (`telemetry.prefork`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import product
from typing import Any, Generic, Literal, TypeVar

from prometheus_client import Counter, Gauge
from prometheus_client import Histogram as PlainHistogram


class Histogram(PlainHistogram):
    """A histogram that does not look at every bound, nor whether it is one that can be observed."""

    def observe(self, amount: float, exemplar: dict[str, str] | None = None) -> None:  # noqa: ARG002
        """Count an event of this size in the lowest bucket that takes it; exemplars are not kept."""
        self._sum.inc(amount)
        self._buckets[bisect_left(self._upper_bounds, amount)].inc(1)


M = TypeVar("M", Counter, Gauge, Histogram)

OTHER = "other"
"""What a label says of a value that is not in its set."""


class Teller(StrEnum):
    """The kinds of process; each family names those that tell it."""

    API = "api"
    WORKER = "worker"
    STEWARD = "steward"


EVERY = frozenset(Teller)


@dataclass(frozen=True, slots=True)
class Label:
    """The name of a label and its values; `said` tells a reader what they are, where a list would not."""

    name: str
    values: Callable[[], Iterable[str]]
    said: str | None = None
    open: bool = False
    """Whether callers may say something that is not in the set: it counts as `other`."""

    def closed(self, value: str) -> str:
        """The value, or `other`; raise ValueError where that is no value either."""
        if value in self.all():
            return value
        if self.open:
            return OTHER
        raise ValueError(f"{value!r} is no value of the label {self.name!r}: {', '.join(self.all())}")

    def all(self) -> tuple[str, ...]:
        """Every value that the label can have."""
        return (*map(str, self.values()), *((OTHER,) if self.open else ()))


class Members:
    """Values that are known when the process starts: the registered kinds, the routes of the api."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()

    def register(self, names: Iterable[str]) -> None:
        """Let these be the values from now on."""
        self._names = tuple(dict.fromkeys((*self._names, *names)))

    def __call__(self) -> tuple[str, ...]:
        """Those registered so far."""
        return self._names


class Family(Generic[M]):
    """One metric and its children, each of which is looked up once."""

    def __init__(
        self,
        kind: type[M],
        name: str,
        text: str,
        labels: Sequence[Label],
        by: Iterable[Teller],
        sparse: bool = False,
        **options: Any,
    ) -> None:
        self.kind: type[M] = kind
        self.name, self.text, self.labels, self.by = name, text, tuple(labels), frozenset(by)
        self._sparse, self._options = sparse, options
        self._children: dict[tuple[str, ...], M] = {}
        CATALOGUE.append(self)

    @cached_property
    def metric(self) -> M:
        """The metric itself, in no registry."""
        kind: Any = self.kind
        metric: M = kind(self.name, self.text, [label.name for label in self.labels], registry=None, **self._options)
        return metric

    def of(self, *values: str) -> M:
        """The child with these label values, in the order of the labels."""
        child = self._children.get(values)
        return child if child is not None else self._bind(values)

    def show(self) -> None:
        """Let each series begin at zero, unless most combinations of values never occur."""
        if not self._sparse:
            for values in product(*(label.all() for label in self.labels)):
                self.of(*values)

    def _bind(self, values: tuple[str, ...]) -> M:
        if not self.labels:
            child = self.metric
        else:
            closed = tuple(label.closed(value) for label, value in zip(self.labels, values, strict=True))
            if closed != values:  # not kept: what callers say has no bound
                return self.of(*closed)
            child = self.metric.labels(*closed)
        self._children[values] = child
        return child


class Share:
    """What one of several holders in a process adds to a gauge."""

    def __init__(self, family: Family[Gauge]) -> None:
        self._gauge, self._value = family.of(), 0.0

    def set(self, value: float) -> None:
        """Let the share be this much from now on."""
        if value != self._value:
            self._gauge.inc(value - self._value)
            self._value = value


@dataclass(frozen=True, slots=True)
class Sight:
    """A family that is not counted but looked at (`telemetry.census`)."""

    name: str
    text: str
    labels: tuple[Label, ...] = ()
    by: frozenset[Teller] = frozenset({Teller.STEWARD})


CATALOGUE: list[Family[Any]] = []
"""Every family that is counted, in the order of its declaration."""


def counter(
    name: str, text: str, *labels: Label, by: Iterable[Teller] = EVERY, sparse: bool = False
) -> Family[Counter]:
    """A count that only grows; its samples end in `_total`."""
    return Family(Counter, name, text, labels, by, sparse)


def gauge(
    name: str,
    text: str,
    *labels: Label,
    by: Iterable[Teller] = EVERY,
    children: Literal["livesum", "livemax"] = "livesum",
) -> Family[Gauge]:
    """A number that comes and goes; `children` says how those of a worker's processes become one."""
    return Family(Gauge, name, text, labels, by, multiprocess_mode=children)


def histogram(
    name: str,
    text: str,
    *labels: Label,
    by: Iterable[Teller] = EVERY,
    sparse: bool = False,
    buckets: Sequence[float],
) -> Family[Histogram]:
    """A distribution, with upper bounds of its buckets in the unit that the name ends in."""
    return Family(Histogram, name, text, labels, by, sparse, buckets=buckets)


def told_by(tellers: Iterable[Teller]) -> Iterator[Family[Any]]:
    """The families that a process with these parts tells."""
    parts = frozenset(tellers)
    return (family for family in CATALOGUE if family.by & parts)
