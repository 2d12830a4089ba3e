"""A platform in a sandbox of its own, offered something and watched meanwhile.

k6 makes the shapes. It takes a millisecond of CPU for a request, half a core of two at 500 a second, so what is
promised at a rate is measured with callers that take a seventh of it (`callers.open_loop`).
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from campaign.world import Sandbox, query

from harness import Platform, eventually
from overload.phases import platform, stand_back

from .answers import Answer, figures, read
from .k6 import run
from .usage import Pids, Usage, services
from .watch import Figures, Watch, generators, summary

SCRIPTS = Path(__file__).with_name("scripts")
NOOP = "custom.noop"
PLAIN: dict[str, Any] = {"kind": NOOP, "payload": {}}
CALLERS = 300
"""The most requests without an answer at a time."""
WAITING = """
SELECT (SELECT count(*) FROM jobs WHERE due_at IS NULL AND state IN ('queued', 'waiting'))
     + (SELECT count(*) FROM jobs WHERE lease_until IS NOT NULL) AS jobs
"""
"""Each half by an index of its own: it is asked several times a second, of a ledger of a million jobs too."""
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
        return Usage(members | services(self.place.home) | {"generator": generators})

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
            stand_back(running.start(name, command=role).process.pid)
        running.wait_ready()
        yield World(place, running)


def offer(
    here: World, script: str, lasting: float, *, drain: float = 60.0, callers: int = CALLERS, **given: Any
) -> Offer:
    """Run a script of k6 to its end, then wait until what it brought has been worked off, at most `drain` seconds."""

    def sent(name: str) -> tuple[Figures, list[list[str]]]:
        known = {"URL": here.running.url, "RUN": name, "NOOP": NOOP, "CALLERS": callers, "LASTING": lasting}
        return run(SCRIPTS / f"{script}.js", known | given, within=4 * lasting + 60)

    return _offered(here, sent, drain)


def keep_offering(
    here: World, rate: float, lasting: float, *, jobs: Sequence[Figures] = (PLAIN,), drain: float = 60.0
) -> Offer:
    """The same with so many of the jobs a second, in turn, whatever becomes of the answers."""

    given = ("--rate", str(rate), "--seconds", str(lasting), "--callers", str(CALLERS))

    def sent(name: str) -> tuple[Figures, list[list[str]]]:
        lines, unsent = _called("open_loop", f"{here.running.url}/v1/jobs", name, *given, within=lasting, told=jobs)
        return {"dropped_iterations": {"values": {"count": int(unsent)}}}, lines

    return _offered(here, sent, drain)


def offer_batches(here: World, lasting: float, callers: int) -> Offer:
    """Batches of a thousand, of each caller one after the other; no worker works them off."""
    given = (json.dumps(PLAIN), "--seconds", str(lasting), "--callers", str(callers))

    def sent(name: str) -> tuple[Figures, list[list[str]]]:
        return {}, _called("batches", f"{here.running.url}/v1/jobs/batch", name, *given, within=lasting)[0]

    return _offered(here, sent, 0.0, batches=True)


def _called(module: str, *arguments: str, within: float, told: object = None) -> tuple[list[list[str]], str]:
    """The words of each line that callers print, and what they say besides."""
    done = subprocess.run(
        [sys.executable, "-m", f"callers.{module}", *arguments],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        timeout=within + 60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the callers ended with {done.returncode}: {done.stderr[-2000:]}")
    return [line.split() for line in done.stdout.splitlines()], done.stderr


def _offered(
    here: World, send: Callable[[str], tuple[Figures, list[list[str]]]], drain: float, *, batches: bool = False
) -> Offer:
    name = f"r{secrets.token_hex(4)}"
    with here.watched() as watch:
        begun = time.monotonic()
        metrics, lines = send(name)
        seconds = time.monotonic() - begun
        drained = here.drained(drain) if drain else 0.0
        time.sleep(1.0)  # two more looks, so that a curve comes to its end
    answers = [] if batches else read(lines)
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
