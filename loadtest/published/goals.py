"""What must be reached, and what is: one row for each measure, from the published results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .peers import ratio
from .results import Results, number, read, table

Reach = tuple[str, float]
"""In words, and as the number that floor and goal are compared with."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One measure. `more` is better, unless less is."""

    text: str
    floor: float | None
    goal: float
    said: tuple[str, str]
    command: str
    reached: Callable[[Mapping[str, Results]], Reach]
    more: bool = True

    def row(self, found: Mapping[str, Results]) -> list[str]:
        """Of the table."""
        command = f"`make {self.command}`"
        try:
            words, value = self.reached(found)
        except KeyError:
            return [self.text, *self.said, "not measured yet", "", command]
        return [self.text, *self.said, words, self._verdict(value), command]

    def _verdict(self, value: float) -> str:
        sign = 1 if self.more else -1
        if sign * value >= sign * self.goal:
            return "goal"
        if self.floor is not None and sign * value >= sign * self.floor:
            return "floor"
        return "**missed**"


def _over(peer: str, measure: str) -> Callable[[Mapping[str, Results]], Reach]:
    def reached(found: Mapping[str, Results]) -> Reach:
        times = ratio(found["peers"], peer, measure)
        if times is None:
            raise KeyError(peer)
        return f"{times[0]:.2f}× ({times[1]:.2f}–{times[2]:.2f})", times[0]

    return reached


def _p99(found: Mapping[str, Results]) -> Reach:
    alone, beside = found["load-enqueue"], found["load-steady"]
    words = [
        f"{it['p99']:.1f} ms ({it['refused']:,} of {it['accepted'] + it['refused']:,} refused)"
        for it in (alone, beside)
    ]
    return f"{words[0]}; {words[1]} while a worker settles them", alone["p99"]


def _a_second(name: str) -> Callable[[Mapping[str, Results]], Reach]:
    return lambda found: (number(found[name]["a second"]), found[name]["a second"])


def _minute(found: Mapping[str, Results]) -> Reach:
    jobs = found["load-mixed"]["jobs a minute"]
    return f"{jobs:,} a minute, the last {found['load-mixed']['drained after']:.1f} s after the load", jobs


def _no_ops(found: Mapping[str, Results]) -> Reach:
    each = found["load-drain"]["a second"] * 60
    return f"{number(each)} a minute, {each / 12_000:.1f}×", each


def _megabytes(found: Mapping[str, Results]) -> Reach:
    names = ("api", "worker-render, child", "worker-webhook")
    kept = found["load-rest"]["after 500 jobs"]
    values = [kept.get(name, kept.get(name.partition(",")[0])) for name in names]
    worst = max(value / most for value, most in zip(values, (120, 120, 150), strict=True))
    return " / ".join(f"{value}" for value in values) + " MB", worst


def _growth(found: Mapping[str, Results]) -> Reach:
    ratios = found["load-growth"]["ratio"]
    return f"enqueue {ratios['enqueue']:.2f}×, settle {ratios['noop']:.2f}×", min(ratios["enqueue"], ratios["noop"])


GOALS = (
    Goal(
        "single enqueue, accepted a second over HTTP, over FastAPI + Celery + Redis",
        1.5, 3.0, ("1.5×", "3×"), "peers", _over("celery-redis", "enqueue"),
    ),
    Goal(
        "p99 of accepted enqueues at 500 a second, open loop",
        50, 15, ("< 50 ms", "< 15 ms"), "loadtest ARGS='--only enqueue --only steady'", _p99, more=False,
    ),
    Goal(
        "batch enqueue, durable jobs a second",
        4_000, 10_000, ("4,000", "10,000"), "loadtest ARGS='--only batch'", _a_second("load-batch"),
    ),
    Goal(
        "no-ops, accepted to settled, over Celery + Redis (acks late)",
        1.0, 2.0, ("1.0×", "2.0×"), "peers", _over("celery-redis", "noop"),
    ),
    Goal(
        "the same, over taskiq + aio-pika",
        0.7, 1.0, ("0.7×", "1.0×"), "peers", _over("taskiq", "noop"),
    ),
    Goal(
        "12,000 jobs a minute on four workers, mixed kinds with real image work",
        None, 11_400, ("reached", ""), "loadtest ARGS='--only mixed'", _minute,
    ),
    Goal(
        "five times of it for no-ops",
        None, 60_000, ("", "60,000 a minute"), "loadtest ARGS='--only drain'", _no_ops,
    ),
    Goal(
        "webhooks a second per worker process, 50 ms receivers, over a Celery task each with httpx",
        3.0, 8.0, ("3×", "8×"), "peers", _over("celery-redis", "webhook"),
    ),
    Goal(
        "12 MP JPEG to an 800 px JPEG, CPU over sharp",
        1.1, 1.0, ("1.1×", "1.0×"), "bench-image",
        lambda found: (f"{found['image']['ratio']:.2f}×", found["image"]["ratio"]), more=False,
    ),
    Goal(
        "memory of api / render child / webhook worker at rest",
        None, 1.0, ("", "< 120 / 120 / 150 MB"), "loadtest ARGS='--only rest'", _megabytes, more=False,
    ),
    Goal(
        "a ledger of a million jobs against an empty one: enqueue and settle rates",
        0.8, 0.95, ("≥ 0.8×", "≥ 0.95×"), "loadtest ARGS='--only growth'", _growth,
    ),
)  # fmt: skip
"""12,000 a minute count as reached from 11,400 on: the run ends when the last job has, seconds after the load."""
LOADS = ("rest", "enqueue", "steady", "batch", "drain", "ramp", "burst", "mixed", "soak", "growth")
NAMES = ("peers", "image", *(f"load-{name}" for name in LOADS))


def everything() -> dict[str, Results]:
    """Whatever was published."""
    return {name: found for name in NAMES if (found := read(name))}


def markdown(found: Mapping[str, Results]) -> str:
    """The table."""
    head = ("measure", "floor", "goal", "reached", "", "measured by")
    return table(head, (goal.row(found) for goal in GOALS))
