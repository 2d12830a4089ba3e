"""The program: every side in turn, several rounds, then the report. Exit code 1 when a count did not add up.

A visit that is done is kept in `out/peers/visits.json`. `--resume` goes on from the last whole round: the ratios of one
that was cut in two would compare different times.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from campaign.holdfast_side import Say
from campaign.program import clock, head, keep_logs
from campaign.world import Sandbox, own_ports, sandbox, serving

from published.pages import publish
from published.peers import markdown
from published.results import Results, save

from . import environment, sides
from .roster import PEERS
from .visit import Figures, Scale, visit

HOLDFAST = "holdfast"
EVERYBODY = (HOLDFAST, *(peer.name for peer in PEERS))
OUT = Path("out") / "peers"
FULL, SHORT = Scale(), Scale(seconds=3, noops=3_000, webhooks=1_000)
ANSWERS_AFTER = 0.050
"""Seconds that the receiver of webhooks takes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments describe."""
    options = _parser().parse_args(argv)
    options.only = options.only or list(EVERYBODY)
    say, load = clock(), round(os.getloadavg()[0], 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the sandbox is wiped
    say(f"load average {load}: nothing else should run")
    programs = environment.ensure()
    with sandbox() as place:
        say(f"sandbox in {place.home}")
        visits = Visits(OUT / "visits.json", len(options.only), resume=options.resume)
        try:
            _rounds(place, programs, visits, options, say)
        except BaseException:
            keep_logs(place, OUT, say)
            raise
        if visits.failed():
            keep_logs(place, OUT, say)
    found: Results = head("peers") | {"load": load, "visits": visits.kept}
    print(markdown(found))
    say(f"results in {save(found, OUT, 'peers')}")
    if options.publish:
        publish({"peers": found})
    return 1 if visits.failed() else 0


class Visits:
    """What each side did in each round, kept in a file after each visit."""

    def __init__(self, file: Path, sides: int, *, resume: bool) -> None:
        """`sides` are visited in a whole round."""
        self._file = file
        kept: dict[str, Figures] = json.loads(file.read_text()) if resume and file.exists() else {}
        done = Counter(label.partition("/")[0] for label in kept)
        self.kept = {label: it for label, it in kept.items() if done[label.partition("/")[0]] == sides}

    def keep(self, name: str, found: Figures) -> None:
        """Remember one."""
        self.kept[name] = found
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(self.kept, indent=1))

    def failed(self) -> dict[str, str]:
        """Those that did not add up, and why."""
        return {name: found["failed"] for name, found in self.kept.items() if "failed" in found}


def _rounds(place: Sandbox, programs: Path, visits: Visits, options: argparse.Namespace, say: Say) -> None:
    scale = SHORT if options.short else FULL
    scale = replace(scale, processes=options.processes)
    (port,) = own_ports(1)
    receiver = f"http://127.0.0.1:{port}"
    arguments = (str(port), "127.0.0.1", "--after", str(ANSWERS_AFTER))
    with serving(place.root, "sick.receiver", *arguments, answers=f"{receiver}/count/none"):
        for number in range(1, options.rounds + 1):
            for name in (
                options.only if number % 2 else reversed(options.only)
            ):  # whoever is first meets the coolest machine
                label = f"{number}/{name}"
                if "enqueue" in visits.kept.get(label, {}):
                    continue
                try:
                    with _side(place, name, programs, options.processes) as side:
                        found = visit(side, place, receiver, scale, label.replace("/", "-"))
                except Exception as error:  # one side's trouble must not end the others' measurement
                    found = {"failed": f"{type(error).__name__}: {error}"}
                visits.keep(label, found)
                say(f"round {number} of {options.rounds}  {name:<16} {_line(found)}")


def _side(place: Sandbox, name: str, programs: Path, processes: int) -> AbstractContextManager[sides.Side]:
    if name == HOLDFAST:
        return sides.holdfast(place, processes)
    return sides.peer(place, next(peer for peer in PEERS if peer.name == name), programs, processes)


def _line(found: Figures) -> str:
    if "failed" in found:
        return f"FAILED: {found['failed']}"
    rates: dict[str, Any] = {name: found[name]["a second"] for name in ("enqueue", "noop", "webhook")}
    return "  ".join(f"{name} {value:5.0f}/s" for name, value in rates.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make peers", description="Holdfast beside what people use instead.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2, help="of each api, and workers that settle no-ops")
    parser.add_argument("--short", action="store_true", help="fewer jobs: a look, not a measurement")
    parser.add_argument("--only", action="append", choices=EVERYBODY)
    parser.add_argument("--resume", action="store_true", help="go on from the last whole round of a run that was ended")
    parser.add_argument("--publish", action="store_true", help="write docs/performance/ and docs/performance.md")
    return parser
