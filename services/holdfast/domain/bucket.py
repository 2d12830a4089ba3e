"""A token bucket: it holds `burst` tokens at most, gains `per_second` of them a second, and each job takes one.

Invariant: between any two moments no more tokens are given out than it held at the first one, plus what it gained
meanwhile. A cost that is larger than what is there is granted in part: as many jobs of a batch as there are tokens.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from dataclasses import dataclass

_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h)(?:\s+burst\s+(\d+))?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}
MOST_SUBJECTS = 10_000
"""Buckets that a process remembers. One that is forgotten, the least recently used, is full when it comes back."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast a bucket fills, in tokens a second, and how much it holds."""

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if not (self.per_second > 0 and math.isfinite(self.per_second) and self.burst >= 1):
            raise ValueError(f"a rate limit needs a rate above zero and a burst of at least 1, not {self}")

    @classmethod
    def parse(cls, text: str) -> Rate:
        """Read `100/s`, `600/m burst 50` or `10/h`. Without a burst it is what one second brings, and at least 1."""
        match = _TEXT.fullmatch(text.strip())
        if not match:
            raise ValueError(f"{text!r} is not a rate such as 100/s, 600/m or 1000/s burst 5000")
        per_second = float(match[1]) / _SECONDS[match[2]]
        return cls(per_second, int(match[3]) if match[3] else max(1, math.ceil(per_second)))

    def __str__(self) -> str:
        """As `parse` reads it; a rate that is slow is told by the hour."""
        if self.per_second >= 1:
            return f"{self.per_second:.15g}/s burst {self.burst}"
        return f"{self.per_second * 3600:.15g}/h burst {self.burst}"

    def shared_by(self, processes: int) -> Rate:
        """The fair share of one of so many processes. Each may let one job through, however small its share is."""
        return Rate(self.per_second / processes, max(1, self.burst // processes))

    def seconds_for(self, tokens: float) -> float:
        """How long the bucket takes to gain so many."""
        return max(0.0, tokens) / self.per_second


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer of a bucket. `wait` is the time in seconds until the rest that was refused, or one more, is there."""

    granted: int
    remaining: int
    wait: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was in a bucket at one moment; `at` is in seconds of a clock that only runs forward."""

    tokens: float
    at: float

    def level(self, rate: Rate, now: float) -> float:
        """What is in it now."""
        return min(float(rate.burst), self.tokens + max(0.0, now - self.at) * rate.per_second)

    def take(self, rate: Rate, cost: int, now: float) -> tuple[Bucket, Grant]:
        """Take up to `cost` tokens; the bucket afterwards, and what it gave."""
        level = self.level(rate, now)
        granted = min(cost, math.floor(level))
        return Bucket(level - granted, max(now, self.at)), answer(rate, cost, granted, level - granted)


def answer(rate: Rate, cost: int, granted: int, left: float) -> Grant:
    """The grant when `left` tokens remain. Nobody waits for more than a bucket can hold."""
    missing = min(max(cost - granted, 1), rate.burst)
    return Grant(granted, math.floor(left), rate.seconds_for(missing - left))


class Buckets:
    """One bucket for each subject, full at first; as many as `MOST_SUBJECTS`."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, subject: str, rate: Rate, cost: int, now: float) -> Grant:
        """Take up to `cost` tokens of the subject's bucket."""
        bucket = self._buckets.pop(subject, None) or Bucket(float(rate.burst), now)
        self._buckets[subject], grant = bucket.take(rate, cost, now)
        if len(self._buckets) > MOST_SUBJECTS:
            self._buckets.popitem(last=False)
        return grant
