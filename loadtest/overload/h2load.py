"""Run h2load, and read what it saw.

It shares the machine with what it measures, which makes every figure worse than on a machine of its own, never better;
so it is the generator that takes the least: 2,000 requests a second cost it a tenth of a core, and k6 half of one,
whose pauses besides passed for the platform's.

A run's jobs have its name as a tag, by which the ledger is asked for them afterwards, and each is its own idempotency
key. An answer's time is that from the sending of its request, on a connection that is there.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sick.figures import percentile

PATIENCE = 15
"""Seconds after which a connection without an answer counts as dead."""
Line = tuple[int, int, int]
"""Microseconds since the epoch at which a request was sent, the status of its answer, and microseconds until then."""


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds, of so many answers."""

    count: int = 0
    p50: float = 0.0
    p99: float = 0.0
    worst: float = 0.0

    @classmethod
    def of(cls, milliseconds: list[float]) -> Times:
        """Of these answers."""
        ranked = sorted(milliseconds)
        if not ranked:
            return cls()
        return cls(len(ranked), percentile(ranked, 50), percentile(ranked, 99), ranked[-1])


@dataclass(frozen=True, slots=True)
class Offered:
    """What came of one run. `unsent` requests were not sent in their time, for every caller still waited."""

    run: str
    seconds: float
    accepted: Times
    refused: Times
    others: int
    """Strange answers, and none at all."""
    unsent: int

    @property
    def accepted_rate(self) -> float:
        """Jobs a second."""
        return self.accepted.count / self.seconds

    @property
    def sent_rate(self) -> float:
        """Requests a second."""
        return (self.accepted.count + self.refused.count + self.others) / self.seconds


def offer(program: str, url: str, run: str, *, rate: float, seconds: float, callers: int = 300) -> Offered:
    """Send `rate` submits a second, whatever becomes of the earlier ones: an open loop of at most so many unanswered.

    The callers begin one after the other, so that their requests are spread out evenly.
    """
    each = max(1, round(rate * seconds / callers))
    pace = ["-n", str(each * callers), "--rps", f"{rate / callers:.3f}"]
    begin = ["-r", str(min(callers, max(1, round(rate / 1000)))), "--rate-period", "1ms"]
    lines = _run(program, url, run, [*pace, *begin], callers, seconds + 60)
    first = min((sent for sent, _, _ in lines), default=0)
    late = sum(sent > first + (seconds + callers / rate) * 1e6 for sent, _, _ in lines)
    last = max((sent + took for sent, _, took in lines), default=0)
    return _seen(run, lines, max(seconds, (last - first) / 1e6), each * callers, late)


def ask_in_turn(program: str, url: str, run: str, *, callers: int, seconds: float) -> Offered:
    """Let so many callers send one after the other: what the server takes when it sets the pace."""
    lines = _run(program, url, run, ["-D", f"{seconds:g}"], callers, seconds + 60)
    return _seen(run, lines, seconds, len(lines), 0)


def _run(program: str, url: str, run: str, pace: list[str], callers: int, within: float) -> list[Line]:
    job: dict[str, Any] = {"kind": "test.noop", "payload": {}, "tags": [run]}
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder) / "body.json", Path(folder) / "log"
        body.write_text(json.dumps(job))
        callers_each = ["--h1", "-c", str(callers), "-m", "1", "-N", str(PATIENCE), f"--log-file={log}"]
        request = ["-d", body, "-H", "content-type: application/json", f"{url}/v1/jobs"]
        done = subprocess.run(
            [program, *callers_each, *pace, *request],
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
            start_new_session=True,
        )
        if done.returncode or not log.exists():
            raise RuntimeError(f"h2load ended with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        return [_line(line) for line in log.read_text().splitlines()]


def _line(text: str) -> Line:
    sent, status, took = map(int, text.split()[:3])
    return sent, status, took


def _seen(run: str, lines: list[Line], seconds: float, asked: int, late: int) -> Offered:
    times = {status: [took / 1000 for _, told, took in lines if told == status] for status in (202, 503)}
    known = sum(map(len, times.values()))
    return Offered(run, seconds, Times.of(times[202]), Times.of(times[503]), asked - known, late)
