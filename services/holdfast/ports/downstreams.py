"""The health of what jobs call, kept for the whole cluster: breakers, limits, and who is alive to see them.

Two sides. Handlers use `Downstreams.call` (as `context.downstream(name)`) and nothing else. The engine asks and tells
`Breakers`, which one process's memory or Redis implements; operators look and override through it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from holdfast.domain.circuit import CircuitState, Reason, Report, Tally
from holdfast.domain.downstream import Admitted, Ask, Downstream, Move, Override, Refused
from holdfast.domain.downstream_policy import DownstreamPolicy
from holdfast.domain.errors import HandlerError


class NotNow(HandlerError):
    """The downstream may not be called now. The job is parked for `wait` and no attempt is spent.

    Let it pass: a handler that catches it would spend the attempt on a call that was never made.
    """

    def __init__(self, name: str, reason: Reason, wait: timedelta) -> None:
        super().__init__(f"{name} may not be called now: {SAID[reason]}")
        self.name, self.reason, self.wait = name, reason, wait


SAID = {
    Reason.OPEN: "it has been failing, and its circuit breaker is open",
    Reason.PROBING: "it has been failing, and a few probes are finding out whether it is well again",
    Reason.RAMPING: "it has been failing, and is being loaded again step by step",
    Reason.FLAGGED: "this worker alone sees it fail, and leaves it to the others",
    Reason.FORCED_OPEN: "an operator has stopped the calls to it",
    Reason.PACED: "it asked for a pause, or for fewer calls a second",
    Reason.FULL: "as many calls as it bears are under way",
}
"""Each reason as a person reads it in the attempt."""


class Call(Protocol):
    """One call of a downstream that is under way. Ending the block without a word means that it answered properly."""

    def answered(self, status: int, retry_after: timedelta | None = None) -> None:
        """It answered with this HTTP status. 429, 502, 503 and 504 are its fault; everything else is an answer."""
        ...

    def failed(self, *, refused: bool = False, timeout: bool = False, retry_after: timedelta | None = None) -> None:
        """It failed by its own fault; `refused` when it asked for less, `timeout` when it took too long."""
        ...


class Downstreams(Protocol):
    """What handlers see."""

    def call(self, name: str) -> AbstractAsyncContextManager[Call]:
        """Ask for a call of `name`, and tell what came of it when the block ends. Raise NotNow when it may not be made.

        What the block raises is evidence: Unreachable, any other TryLater, TimeoutError and ConnectionError are the
        downstream's fault; Rejected (TooLarge, Forbidden) and every other exception are not.
        """
        ...


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process that is alive."""

    instance: str
    """`host:pid` of the service's main process: all its children see the network from one place."""
    process: str
    """`host:pid` of the process itself."""
    pool: str
    """`render` or `webhook`."""
    concurrency: int
    """Jobs that the process can have under way."""
    busy: int
    """Jobs that it has under way."""


def instances(workers: Sequence[Worker], pool: str) -> int:
    """How many instances of a pool there are."""
    return len({worker.instance for worker in workers if worker.pool == pool})


@dataclass(frozen=True, slots=True)
class Known:
    """One downstream as people look at it. Times are Unix milliseconds, shares lie between 0 and 1."""

    name: str
    state: CircuitState
    since: int
    calls: int
    failures: int
    slow: int
    failure_rate: float
    slow_rate: float
    open_until: int | None
    trips: int
    override: Override | None
    flagged: str | None
    """The worker that alone sees it fail."""
    limit: int | None
    """Calls at once that it bears; None while it has not complained."""
    in_flight: int
    """Calls under that limit, and probes; those that go on without a limit are not counted."""
    per_second: float | None
    """Calls a second that it bears; None while it has not complained."""
    paused_until: int | None
    """Its Retry-After."""


def known(name: str, downstream: Downstream, now: int, policy: DownstreamPolicy) -> Known:
    """How `downstream` looks at `now`."""
    current = downstream.at(now, policy)
    circuit, throttle, tally = current.circuit, current.throttle, current.tally()
    return Known(
        name=name,
        state=circuit.state,
        since=circuit.since,
        calls=tally.calls,
        failures=tally.failures,
        slow=tally.slow,
        failure_rate=_share(tally.failures, tally),
        slow_rate=_share(tally.slow, tally),
        open_until=circuit.open_until or None,
        trips=circuit.trips,
        override=current.override,
        flagged=circuit.flagged or None,
        limit=throttle.limit // 1000 or None,
        in_flight=len(throttle.leases) + len(circuit.probes),
        per_second=throttle.rate / 1000 if throttle.rate else None,
        paused_until=throttle.paused_until or None,
    )


def _share(part: int, tally: Tally) -> float:
    return part / tally.calls if tally.calls else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one question, and the move that it caused."""

    answer: Admitted | Refused
    now: int
    """The store's time, by which `retry_at` is meant."""
    moved: Move | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What came of calls of one downstream. `draw` lies in [0, 1_000_000)."""

    name: str
    report: Report
    draw: int


@dataclass(frozen=True, slots=True)
class Told:
    """What was heard in return: instances of the pool that are alive, and the moves, in the order of the evidence."""

    alive: int
    moves: list[Move | None]


class Breakers(Protocol):
    """Every downstream's breaker and limits. Each method raises RedisUnavailable when the store does not answer."""

    async def admit(self, name: str, ask: Ask) -> Verdict:
        """Grant or refuse a call, atomically and in one round trip."""
        ...

    async def tell(self, worker: Worker, alive: int, evidence: Sequence[Evidence]) -> Told:
        """Say that a process is alive, for the next ten seconds, and what came of its calls, in one round trip.

        Each report is taken in atomically, as seen by one of `alive` instances.
        """
        ...

    async def workers(self) -> list[Worker]:
        """The processes that are alive, by pool and name."""
        ...

    async def look(self, name: str) -> Known:
        """One downstream; a healthy one when nothing is known of it."""
        ...

    async def all(self) -> list[Known]:
        """Those of which anything is known, by name."""
        ...

    async def override(self, name: str, override: Override) -> Known:
        """Force a breaker open or closed until `override.until`."""
        ...

    async def now(self) -> int:
        """The store's time, for an override's `until`."""
        ...

    async def clear(self, name: str) -> Known:
        """Take the override back; the breaker goes on from where it is."""
        ...
