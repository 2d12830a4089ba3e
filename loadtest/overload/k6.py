"""Run k6, and read what it saw.

Its binary comes with the Python package of the same name. It shares the machine with what it measures, which makes
every figure worse than on a machine of its own, never better. So that it takes no more than a part from the platform,
it runs on one core at a time; and its own pauses must not pass for the platform's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("offer.js")
K6 = Path(sys.executable).with_name("k6")
THRESHOLDS_CROSSED = 99
"""How k6 ends when all went well and a threshold was not met; its summary says which."""
UNDISTURBED = {"GOMAXPROCS": "1", "GOGC": "off", "GOMEMLIMIT": "4GiB"}
"""At most one core, whichever is free, and no collection of garbage before there are 4 GiB: with Go's usual settings
one began every 0.9 s and took 0.2 s on a busy core, in which hardly a request was sent or an answer read."""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds, of so many answers."""

    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    worst: float = 0.0


@dataclass(frozen=True, slots=True)
class Offered:
    """What came of one run. `unsent` requests were due while every caller still waited for an answer."""

    seconds: float
    accepted: Times
    refused: Times
    unsent: int
    accepted_keys: frozenset[str] = field(repr=False)
    unknown_keys: frozenset[str] = field(repr=False)

    @property
    def accepted_rate(self) -> float:
        """Jobs a second."""
        return self.accepted.count / self.seconds

    @property
    def sent_rate(self) -> float:
        """Requests a second."""
        return (self.accepted.count + self.refused.count + len(self.unknown_keys)) / self.seconds


def offer(url: str, run: str, *, rate: float, seconds: float, callers: int = 300) -> Offered:
    """Send `rate` submits a second, with at most so many unanswered at a time."""
    return _run(url, run, {"RATE": max(1, round(rate))}, seconds, callers)


def ask_in_turn(url: str, run: str, *, callers: int, seconds: float) -> Offered:
    """Let so many callers send one after the other: what the server takes when it sets the pace."""
    return _run(url, run, {"CLOSED": 1}, seconds, callers)


def run(script: Path, given: dict[str, Any], within: float) -> tuple[dict[str, Any], list[list[str]]]:
    """Run a script with `given` as its environment: its metrics, and the words of each line that it logged."""
    with tempfile.TemporaryDirectory() as folder:
        printed = Path(folder) / "console"
        done = subprocess.run(
            [K6, "run", "--quiet", "--no-usage-report", "--log-format", "raw", "--console-output", printed]
            + [argument for name, value in given.items() for argument in ("-e", f"{name}={value}")]
            + [script],
            env=os.environ | {"K6_NO_COLOR": "true"} | UNDISTURBED,
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            start_new_session=True,
        )
        if done.returncode not in {0, THRESHOLDS_CROSSED}:
            raise RuntimeError(f"k6 ended with {done.returncode}: {done.stderr[-2000:]}")
        return json.loads(done.stdout), [line.split() for line in printed.read_text().splitlines()]


def _run(url: str, run_name: str, own: dict[str, Any], seconds: float, callers: int) -> Offered:
    given = {"URL": url, "RUN": run_name, "LASTING": seconds, "CALLERS": callers} | own
    seen, lines = run(SCRIPT, given, seconds + 120)
    keys = {word: frozenset(line[1] for line in lines if line[0] == word) for word in ("accepted", "unknown")}
    unsent = int(seen.get("dropped_iterations", {}).get("values", {}).get("count", 0))
    return Offered(
        seconds, _times(seen, "accepted"), _times(seen, "refused"), unsent, keys["accepted"], keys["unknown"]
    )


def _times(seen: dict[str, Any], name: str) -> Times:
    values = seen.get(name, {}).get("values")
    return Times(int(values["count"]), values["med"], values["p(99)"], values["max"]) if values else Times()
