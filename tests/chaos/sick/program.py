"""The program: parse, run both sides in turn, report. Exit code 1 when a target was missed, with the reason."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from campaign.audit import Promise
from campaign.holdfast_side import running
from campaign.program import clock, head, keep_logs, tell
from campaign.world import Sandbox, own_ports, sandbox, serving

from . import report, targets
from .celery_side import NaiveCelery, celery
from .figures import Figures
from .holdfast_side import HoldfastSide
from .receiver import Mode
from .run import BASELINE, Outside, Say, Scale, Side, carry_out

PROCESSES, SLOTS = 4, 8
"""Of each side. The sick host could hold all of them: 30 webhooks a second that hang for 5 s ask for 150."""
HEALTHY, SICK = "127.0.0.3", {Mode.REFUSING: "127.0.0.2", Mode.HANGING: "127.0.0.4"}
FULL = Scale()
WARM_UP = Scale(jobs=60)
BUSY = 0.5
"""Load average above which latencies tell more about the machine than about Holdfast."""
CELERY_ALONE = 400
"""Webhooks of Celery's run without a sick host: enough for its p95, and the whole stays below six minutes."""
OUT = Path("out") / "sick"
"""Where the results go, and the logs of a run that missed a target."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments describe."""
    options = _parser().parse_args(argv)
    scale, say, load = Scale(jobs=options.jobs, rate=options.rate), clock(), round(os.getloadavg()[0], 1)
    say(f"{scale.jobs} webhooks to each host, {scale.rate:g} a second to each; {PROCESSES} workers of {SLOTS} slots")
    if load > BUSY:
        say(f"the load average of this machine is {load}: what is said about time will not hold")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the sandbox is wiped
    with sandbox() as place:
        try:
            found = measure(place, scale, say, beside=not options.no_celery)
        except BaseException:
            keep_logs(place, OUT, say)
            raise
        if not found["held"]:
            keep_logs(place, OUT, say)
    found = head("sick") | {"jobs": scale.jobs, "rate": scale.rate, "load": load} | found
    print(report.markdown(found))
    say(f"results in {report.keep(found, OUT)}")
    if options.publish:
        report.publish(found)
    return 0 if found["held"] else 1


def measure(place: Sandbox, scale: Scale, say: Say, *, beside: bool) -> Figures:
    """Every run, both sides in turn, so that each meets the same machine."""
    runs: dict[str, Figures] = {}
    with ExitStack() as stack:
        say(f"sandbox in {place.home}; starting the workers")
        sides = [stack.enter_context(_holdfast(place))]
        if beside:
            sides.append(stack.enter_context(celery(place, PROCESSES, SLOTS)))
        outside = stack.enter_context(receiving(place.root, HEALTHY, SICK))
        for side in sides:
            carry_out(side, outside, WARM_UP, None, say, "warm-up")
        for sickness in (None, *SICK):
            for side in sides:
                fewer = isinstance(side, NaiveCelery) and not sickness
                size = replace(scale, jobs=min(scale.jobs, CELERY_ALONE)) if fewer else scale
                run = carry_out(side, outside, size, sickness, say)
                runs[run.name] = report.entry(run, side.more(run) if run.host else {})
                say(f"{run.name}: {runs[run.name]['healthy']}")
    met = [promise for sickness in SICK for promise in _promises(runs, sickness)]
    tell(met, say)
    return report.results(runs, met)


@contextmanager
def receiving(folder: Path, healthy: str, sick: dict[Mode, str]) -> Iterator[Outside]:
    """The receiver, listening on every host."""
    (port,) = own_ports(1)
    arguments = (str(port), healthy, *sick.values())
    with serving(folder, "sick.receiver", *arguments, answers=f"http://{healthy}:{port}/count/none"):
        yield Outside(port, healthy, sick)


@contextmanager
def _holdfast(place: Sandbox) -> Iterator[Side]:
    names = ("api-1", *(f"worker-webhook-{number + 1}" for number in range(PROCESSES)))
    with running(place, names, worker_concurrency_webhook=SLOTS) as (_, settings, urls):
        yield HoldfastSide(settings, urls[0], place.root)


def _promises(runs: Mapping[str, Figures], sickness: Mode) -> Iterator[Promise]:
    alone, beside = runs[f"{HoldfastSide.name} {BASELINE}"], runs[f"{HoldfastSide.name} {sickness}"]
    yield targets.times(sickness, beside["healthy"], alone["healthy"])
    yield from targets.counts(sickness, beside["healthy"], beside["sick"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make sick", description="What a sick downstream costs the others.")
    parser.add_argument("--jobs", type=int, default=FULL.jobs, help="webhooks to each host")
    parser.add_argument("--rate", type=float, default=FULL.rate, help="webhooks a second to each host")
    parser.add_argument("--no-celery", action="store_true", help="leave out the comparison")
    parser.add_argument("--publish", action="store_true", help="write docs/reliability.md, its JSON and its picture")
    return parser
