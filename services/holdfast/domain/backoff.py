"""How long a job waits between attempts, and where it waits.

Invariant: a wait never ends early. Short waits live in fixed-TTL broker queues (a TTL per message would be
served head-of-line, and so would lose its jitter under load); each tier has four such queues, with TTLs of
base × 1.0, 1.1, 1.2 and 1.3, and a uniform draw picks one. Anything longer is a row with a due time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

TIERS: tuple[int, ...] = (2, 4, 8, 16, 32)
"""Seconds of each broker tier. A change here is a change of the topology."""
JITTER_STEPS: tuple[float, ...] = (1.0, 1.1, 1.2, 1.3)
"""The buckets of each tier, as factors of its seconds."""


@dataclass(frozen=True, slots=True)
class BrokerWait:
    """Wait in the broker: retry queue `{tier}s.{bucket}`."""

    tier: int
    bucket: int

    @property
    def duration(self) -> timedelta:
        """The time to live of messages in this queue."""
        return timedelta(milliseconds=ttl_ms(self.tier, self.bucket))


@dataclass(frozen=True, slots=True)
class LedgerWait:
    """Wait as a row that the steward promotes when `duration` has passed."""

    duration: timedelta


Wait = BrokerWait | LedgerWait


def ttl_ms(tier: int, bucket: int) -> int:
    """Milliseconds that a message stays in the queue of this tier and bucket."""
    return round(tier * 1000 * JITTER_STEPS[bucket])


def place(delay: timedelta, draw: float) -> Wait:
    """Choose where to wait at least `delay`; `draw` in [0, 1) picks the jitter."""
    seconds = delay.total_seconds()
    for tier in TIERS:
        if seconds <= tier:
            return BrokerWait(tier, int(draw * len(JITTER_STEPS)))
    return LedgerWait(delay * (1 + draw * (JITTER_STEPS[-1] - 1)))


LONGEST_BROKER_WAIT = timedelta(milliseconds=ttl_ms(TIERS[-1], len(JITTER_STEPS) - 1))
"""After this no message is in a retry queue any more: it has gone home to its work queue."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a kind is tried, and how long between. `delays[n]` is the wait after failure n + 1."""

    delays: tuple[timedelta, ...] = tuple(timedelta(seconds=tier) for tier in TIERS)
    fatal: frozenset[str] = frozenset()
    """Names of errors that no retry can mend, besides those that a handler raises as Rejected."""
    longest: timedelta = timedelta(hours=1)
    """The most that a Retry-After of the other side can make a job wait."""
    patience: timedelta = timedelta(days=3)
    """How long a job may be parked in a row, without an attempt spent, before it is dead."""

    @property
    def max_attempts(self) -> int:
        """The first attempt and one more for each delay."""
        return len(self.delays) + 1

    def after_failure(self, attempt: int, draw: float, at_least: timedelta | None = None) -> Wait | None:
        """The wait after failed attempt `attempt` (from 1), or None when the budget is spent."""
        if attempt >= self.max_attempts:
            return None
        asked = min(at_least or timedelta(0), self.longest)
        return place(max(self.delays[attempt - 1], asked), draw)
