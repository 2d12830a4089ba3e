"""How many jobs the ledger has in each place, and how many messages the broker has in each queue.

Every job that has not ended is in exactly one place, and somebody moves it on from there:

    place      the job is …                                       and moves on by
    lane       blocked behind an earlier job of its lane          the end of that job, or the steward
    timer      scheduled or waiting with a due time               the steward (promote)
    outbox     queued or waiting, its ticket not yet confirmed    the steward (relay)
    lease      running under a live lease                         its worker
    rescue     running, and its lease has run out                 the steward (rescue)
    broker     queued or waiting, its ticket with the broker      a worker, or, if the ticket is lost, the steward
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from holdfast.domain.dead_letter import DeadReason
from holdfast.domain.job import JobState


class Place(StrEnum):
    """Where a job is that has not ended."""

    LANE = "lane"
    TIMER = "timer"
    OUTBOX = "outbox"
    LEASE = "lease"
    RESCUE = "rescue"
    BROKER = "broker"


@dataclass(frozen=True, slots=True)
class Bulkhead:
    """The jobs of one work queue that have stood long enough for every count of the broker to know of them."""

    home: int = 0
    """In the place `broker`, with a ticket that can only be in the work queue itself."""
    running: int = 0
    """Running; each has a ticket that is delivered and not acknowledged."""


@dataclass(frozen=True, slots=True)
class LedgerCount:
    """The ledger at one moment: one statement, one snapshot."""

    states: Mapping[JobState, int]
    """Every state but SUCCEEDED and CANCELLED, which nobody can count without reading all there is."""
    places: Mapping[Place, int]
    bulkheads: Mapping[str, Bulkhead]
    """By the name of the work queue: `image`."""
    outbox_rows: int
    outbox_oldest: timedelta
    """Age of the oldest row; zero when there is none."""
    open_letters: Mapping[DeadReason, int]
    """Dead letters that are neither replayed nor dropped."""
    oldest_letter: timedelta = timedelta(0)
    """Age of the oldest of them; zero when there is none."""


@dataclass(frozen=True, slots=True)
class QueueCount:
    """One queue of the broker. Counts are some seconds old."""

    ready: int = 0
    unacked: int = 0
    consumers: int = 0
    taken: int = 0
    """Deliveries since the broker began to count, without those that came again."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at both sides."""

    ledger: LedgerCount
    queues: Mapping[str, QueueCount] | None
    """None while the broker does not tell."""
    unaccounted: Mapping[str, int] | None
    """Jobs of each work queue whose ticket is nowhere (`engine.conserve`); None while that is not known."""


class LedgerCensus(Protocol):
    """Promises and errors are those of `ports.ledger`."""

    async def count(self, settled_for: timedelta) -> LedgerCount:
        """Count. `Bulkhead` leaves out what changed within `settled_for`, and waits that may not be over yet."""
        ...

    async def unknown(self, job_ids: Sequence[UUID]) -> set[UUID]:
        """Those of the ids that no job has."""
        ...


class BrokerCensus(Protocol):
    """What the broker says of its queues."""

    async def queues(self) -> Mapping[str, QueueCount]:
        """Every queue of the topology, by its full name; one that does not exist holds nothing.

        Raise BrokerUnavailable when the broker does not answer, or cannot say how much a queue holds.
        """
        ...
