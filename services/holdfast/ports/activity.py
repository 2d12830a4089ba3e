"""What has just happened in the ledger, and what waits there: for people who look, not for decisions.

Promises and errors are those of `ports.ledger`. Each answer is one statement whose cost follows what happened in the
window and what waits, not the size of the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from holdfast.domain.attempt import AttemptState


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class KindActivity:
    """The attempts of one kind that ended within the window."""

    kind: str
    attempts: Mapping[AttemptState, int]
    """Every state in which an attempt can have ended."""
    dead: int
    """How many of the failed ones were their job's last."""
    run: Percentiles | None
    """From the claim to the settlement, of all of them; None when there were none."""
    latency: Percentiles | None
    """From acceptance to success, of the jobs that succeeded; a delay that was asked for is part of it."""


@dataclass(frozen=True, slots=True)
class Activity:
    """What happened within the window."""

    window: timedelta
    accepted: int
    kinds: Sequence[KindActivity]
    """By name; kinds to which nothing happened are left out."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs of one work queue and priority that are queued and not begun."""

    queue: str
    priority: int
    jobs: int
    oldest: timedelta
    """How long the one at the head has stood there."""


class Recent(Protocol):
    """Tells what the ledger's rows say of the last seconds."""

    async def activity(self, window: timedelta) -> Activity:
        """What ended, and what was accepted, within `window`."""
        ...

    async def waiting(self) -> Sequence[Waiting]:
        """The queued jobs, by work queue, the highest priority first."""
        ...
