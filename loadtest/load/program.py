"""The program: take the measures one after the other, and keep what each found. Exit code 1 when one failed.

A measure that is done is kept in `out/load/<its name>.json`; `--resume` takes only those that are not there yet.
Thresholds and figures decide nothing, for a machine that is busy with something else misses them: a measure fails when
jobs are missing, answers are strange, or it does not come to its end.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from campaign.holdfast_side import Say
from campaign.program import clock, head, keep_logs
from campaign.world import Sandbox, sandbox

from published.pages import publish
from published.results import Results, save

from .measures import MEASURES

OUT = Path("out") / "load"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what the arguments describe."""
    options = _parser().parse_args(argv)
    say = clock()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the sandbox is wiped
    say(f"load average {os.getloadavg()[0]:.1f}: nothing else should run")
    wanted = options.only or list(MEASURES)
    done = [name for name in wanted if options.resume and _kept(name)]
    failed = {}
    with sandbox() as place:
        say(f"sandbox in {place.home}")
        for name in [name for name in wanted if name not in done]:
            try:
                _take(place, name, options, say)
            except Exception as error:  # one measure's trouble must not end the others
                failed[name] = f"{type(error).__name__}: {error}"
                say(f"{name} FAILED: {failed[name]}")
                keep_logs(place, OUT / name, say)
    say(f"results in {OUT}")
    if options.publish:
        publish({f"load-{name}": json.loads(_file(name).read_text()) for name in wanted if _kept(name)})
    return 1 if failed else 0


def _take(place: Sandbox, name: str, options: argparse.Namespace, say: Say) -> None:
    measure, lasting = MEASURES[name]
    lasting = options.seconds or lasting
    load = round(os.getloadavg()[0], 1)
    say(f"{name}: {(measure.__doc__ or '').partition(chr(10))[0]} ({lasting:g} s)")
    found: Results = head("loadtest") | {"load": load, "lasting": lasting} | measure(place, lasting)
    save(found, OUT, name)
    say(f"{name}: {_line(found)}")


def _line(found: Results) -> str:
    """What is worth a line: the single figures."""
    plain = {name: value for name, value in found.items() if isinstance(value, int | float | list) and value != []}
    return "  ".join(f"{name} {value}" for name, value in plain.items() if not isinstance(value, list))


def _file(name: str) -> Path:
    return OUT / f"{name}.json"


def _kept(name: str) -> bool:
    return _file(name).exists()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make loadtest", description="What Holdfast does under load.")
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="this measure; may be repeated")
    parser.add_argument("--seconds", type=float, default=None, help="of each, instead of its usual length")
    parser.add_argument("--resume", action="store_true", help="leave out those that a run that was ended has taken")
    parser.add_argument("--publish", action="store_true", help="write docs/performance/ and docs/performance.md")
    return parser
