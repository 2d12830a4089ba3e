"""The program: parse, run, report. Exit code 1 when a promise was broken, with the offenders by name."""

from __future__ import annotations

import argparse
import os
import platform
import random
import shutil
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import jitter, report
from .audit import Promise
from .holdfast_side import Outcome, Say, Scale, campaign, running
from .naive import naive
from .world import Sandbox, observing, query, sandbox

OUT = Path("out") / "chaos"
"""Where the results go, and the logs of a run that broke a promise."""


def main(argv: list[str] | None = None) -> int:
    """Run the campaign that the arguments describe."""
    options = _parser().parse_args(argv)
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(10_000)
    scale = Scale(options.jobs, options.rate, seed, options.process_gap, options.service_gap, settle_within=300)
    say = clock()
    say(f"seed {seed}: {scale.orders} jobs at {scale.rate:g} a second")
    with sandbox() as place:
        say(f"sandbox in {place.home}")
        try:
            spread = None if options.no_jitter else _jitter(place, say)
            with observing(place.root) as observer:
                outcome = campaign(place, observer, scale, say)
            tell(outcome.promises, say)
            _explain(outcome, say)
            if not all(promise.held for promise in outcome.promises):
                keep_logs(place, OUT, say)
            celery = {} if options.no_celery else _celery(place, scale, options.celery_jobs, say)
        except BaseException:
            keep_logs(place, OUT, say)
            raise
    found = report.results(head("chaos") | {"seed": seed}, outcome, spread, celery)
    print(report.markdown(found))
    say(f"results in {report.save(found, OUT)}")
    if options.publish:
        report.publish(found)
    return 0 if found["held"] else 1


def _jitter(place: Sandbox, say: Say) -> dict[str, Any]:
    """Measure the waits while nothing is broken."""
    with running(place) as (_, settings, urls):
        ledger = settings.postgres_url.get_secret_value()
        found = jitter.measure(settings.rabbitmq_url.get_secret_value(), ledger, urls[0])
    query(ledger, "TRUNCATE jobs, attempts, outbox, dead_letters")
    say(f"2 s tier, failure to work queue: {found['failure to work queue']}")
    return found


def _celery(place: Sandbox, scale: Scale, jobs: int, say: Say) -> dict[str, Any]:
    """Both configurations, at the same rate, seed and gaps."""
    smaller = Scale(jobs, scale.rate, scale.seed, scale.process_gap, scale.service_gap, settle_within=150)
    found = {}
    for name, careful in (("defaults", False), ("careful", True)):
        found[name] = naive(place, smaller, say, careful=careful)
        say(f"celery {name}: {found[name]}")
    return found


def tell(promises: Sequence[Promise], say: Say) -> None:
    """Say which held, and what speaks against the others."""
    for promise in promises:
        say(f"{'held  ' if promise.held else 'BROKEN'}  {promise.text}: {promise.measured}")
        for offender in promise.offenders[:20]:
            say(f"        {offender}")


def keep_logs(place: Sandbox, folder: Path, say: Say) -> None:
    """Copy the logs out of a sandbox that is about to be wiped."""
    folder.mkdir(parents=True, exist_ok=True)
    for log in (*place.root.glob("*.log"), *(place.home / "log").glob("*.log")):
        shutil.copy(log, folder)
    say(f"the logs are in {folder}")


def _explain(outcome: Outcome, say: Say) -> None:
    for row in outcome.evidence[:40]:
        say(f"        {row}")
    for error in outcome.errors:
        say(f"        not injected: {error}")


def head(target: str) -> dict[str, Any]:
    """When, how and where: the begin of every result."""
    cores, memory = os.cpu_count(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    arguments = " ARGS=" + repr(" ".join(sys.argv[1:])) if sys.argv[1:] else ""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "command": f"make {target}{arguments}",
        "machine": f"{cores} cores, {memory:.0f} GiB, Python {platform.python_version()}",
    }


def clock() -> Say:
    """Prints lines with the seconds since now."""
    begun = time.monotonic()
    return lambda line: print(f"[{time.monotonic() - begun:6.1f}] {line}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make chaos", description="Break everything; lose nothing.")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=60.0, help="orders a second")
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    parser.add_argument("--process-gap", type=float, default=5.0, help="mean seconds between faults of processes")
    parser.add_argument("--service-gap", type=float, default=9.0, help="mean seconds between faults of services")
    parser.add_argument("--celery-jobs", type=int, default=7_000)
    parser.add_argument("--no-celery", action="store_true", help="leave out the comparison")
    parser.add_argument("--no-jitter", action="store_true", help="leave out the spread of the waits")
    parser.add_argument("--publish", action="store_true", help="write docs/reliability.md, its JSON and its picture")
    return parser
