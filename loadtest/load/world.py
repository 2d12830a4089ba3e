"""A platform in a sandbox of its own, offered something by k6 and watched meanwhile."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaign.world import Sandbox, query

from harness import Platform, eventually
from overload.phases import platform

from .answers import Answer, figures, read
from .k6 import run
from .usage import Pids, Usage, services
from .watch import Figures, Watch, generators, summary

SCRIPTS = Path(__file__).with_name("scripts")
NOOP = "custom.noop"
WAITING = """
SELECT (SELECT count(*) FROM jobs WHERE due_at IS NULL AND state IN ('queued', 'waiting'))
     + (SELECT count(*) FROM jobs WHERE state = 'running') AS jobs
"""
ENDED = "SELECT state, count(*) AS jobs FROM jobs WHERE idempotency_key LIKE $1 GROUP BY state"


@dataclass(slots=True)
class World:
    """A running platform. The names of its members begin with their roles: `worker-webhook-2`."""

    place: Sandbox
    running: Platform

    @property
    def ledger(self) -> str:
        """Its URL."""
        return self.running.settings.postgres_url.get_secret_value()

    def waiting(self) -> int:
        """Jobs that were accepted and have not ended."""
        return int(query(self.ledger, WAITING)[0]["jobs"])

    def usage(self) -> Usage:
        """Of every process, and of the generator."""
        members: dict[str, Pids] = {name: self._pid(name) for name in self.running.members}
        return Usage(members | services(self.place.home) | {"k6": generators})

    def watched(self) -> Watch:
        """A watch over all of it."""
        return Watch(self.usage(), self.waiting)

    def drained(self, within: float) -> float:
        """Seconds until nothing waits."""
        begun = time.monotonic()
        eventually(self.waiting, lambda jobs: jobs == 0, within=within, every=0.1)
        return time.monotonic() - begun

    def _pid(self, name: str) -> Pids:
        return lambda: [self.running.members[name].process.pid]


@dataclass(frozen=True, slots=True)
class Offer:
    """What came of one script."""

    run: str
    answers: list[Answer] = field(repr=False)
    lines: list[list[str]] = field(repr=False)
    looks: list[Figures] = field(repr=False)
    metrics: dict[str, Any] = field(repr=False)
    seconds: float
    drained: float
    """Seconds after the end until nothing waited any more."""

    @property
    def crossed(self) -> list[str]:
        """The thresholds of the script that were not met."""
        return [
            f"{name}: {threshold}"
            for name, metric in self.metrics.items()
            for threshold, said in metric.get("thresholds", {}).items()
            if not said["ok"]
        ]

    def figures(self) -> Figures:
        """The totals."""
        unsent = int(self.metrics.get("dropped_iterations", {}).get("values", {}).get("count", 0))
        own = {"unsent": unsent, "drained after": round(self.drained, 1), "thresholds crossed": self.crossed}
        return figures(self.answers, self.seconds) | own | summary(self.looks)


@contextmanager
def world(place: Sandbox, members: Mapping[str, str], **settings: Any) -> Iterator[World]:
    """Start an api and `members` (a name and a role each), without rate limits, over an empty ledger."""
    allowed = {"egress_allow": ("127.0.0.0/8",)} | settings
    with platform(place, **allowed) as running:
        query(running.settings.postgres_url.get_secret_value(), "TRUNCATE jobs, attempts, outbox, dead_letters")
        for name, role in members.items():
            running.start(name, command=role)
        running.wait_ready()
        yield World(place, running)


def offer(here: World, script: str, lasting: float, *, drain: float = 60.0, callers: int = 300, **given: Any) -> Offer:
    """Run a script to its end, then wait until what it brought has been worked off, at most `drain` seconds."""
    name = f"r{secrets.token_hex(4)}"
    known = {"URL": here.running.url, "RUN": name, "NOOP": NOOP, "CALLERS": callers, "LASTING": lasting}
    with here.watched() as watch:
        begun = time.monotonic()
        metrics, lines = run(SCRIPTS / f"{script}.js", known | given, within=4 * lasting + 60)
        seconds = time.monotonic() - begun
        drained = here.drained(drain) if drain else 0.0
        time.sleep(1.0)  # two more looks, so that a curve comes to its end
    answers = [] if script == "batch" else read(lines)
    return Offer(name, answers, lines, watch.looks, metrics, seconds, drained)


def drain(here: World, jobs: int, workers: Mapping[str, str]) -> Figures:
    """Let workers (a name and a role each) settle what waits: how much a second, and the curve.

    The rate is taken between the tenth and the ninetieth percent, so that the workers' start does not count.
    """
    for name, role in workers.items():
        here.running.start(name, command=role)
    with here.watched() as watch:
        here.drained(within=180)
        time.sleep(1.0)
    idle = max(0, sum(look["waiting"] >= jobs for look in watch.looks) - 1)  # while the workers started
    looks = watch.looks[idle:]
    curve = [(look["at"] - looks[0]["at"], look["waiting"]) for look in looks]
    middle = [(at, left) for at, left in curve if 0.1 * jobs <= left <= 0.9 * jobs]
    if len(middle) < 2:
        raise RuntimeError(f"{jobs} jobs were worked off too fast to be seen: {curve}")
    (begin, most), (end, least) = middle[0], middle[-1]
    return {
        "jobs": jobs,
        "a second": round((most - least) / (end - begin), 1),
        "curve": [(round(at, 2), left) for at, left in curve],
        **summary([look for look in looks if look["waiting"]]),
    }


def adds_up(here: World, made: Offer) -> Figures:
    """The figures; raise unless every answer was one that is meant, every accepted job succeeded, and no other did."""
    found = made.figures()
    if found["other answers"]:
        raise RuntimeError(
            f"{found['other answers']} answers were neither 202 nor a refusal that says when to come again"
        )
    accepted = found["accepted"]
    states = {row["state"]: row["jobs"] for row in query(here.ledger, ENDED, f"{made.run}-%")}
    if states != ({"succeeded": accepted} if accepted else {}):
        raise RuntimeError(f"{accepted} jobs were accepted, and the ledger has {states}")
    return found
