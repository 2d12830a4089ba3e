"""A circuit breaker as a value: what is known of one downstream's health, and who may call it.

    CLOSED ──too many failures or slow calls, seen by enough workers──► OPEN ◄──────────────┐
       ▲                                                                 │                  │
       │                                                    its period has passed      one bad probe,
       │                                                                 ▼             a bad call in the ramp
       └──the last step has passed── RAMP ◄──every probe succeeded── HALF_OPEN ─────────────┤
                                      └─────────────────────────────────────────────────────┘

Invariants. While OPEN nobody calls. While HALF_OPEN at most `probes` calls are let through in the whole cluster; each
has a lease that runs out, so a probe whose worker died is given to somebody else. While RAMP a growing share is let
through. Every move raises `epoch`, and what was asked in another epoch is no evidence: calls that were on their way
when the breaker moved cannot move it again.

Evidence guard: when more than one worker is alive, failures must have been seen by `witnesses` of them. If one alone
sees them, the fault may be its own network: that worker is flagged and leaves the destination to the others for an
open period. If they fail too, the breaker opens.

Pure: time (milliseconds) and chance (`draw`, millionths) are arguments. `adapters/redis/breaker.lua` says the same in
Lua; the property tests hold the two against each other, so a change here is a change there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

from holdfast.domain.downstream_policy import BUCKETS, DownstreamPolicy

MILLION = 1_000_000
RECHECK_MS = 32_000
"""Who meets an open breaker asks again after so long at the latest, for an operator may close it early; and it is the
longest wait that the broker's retry queues have."""
ANY_EPOCH = -1
"""The epoch of evidence that was gathered under another breaker (Redis went away meanwhile)."""


class CircuitState(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    RAMP = "ramp"


class Reason(StrEnum):
    """Why a call may not be made now."""

    OPEN = "open"
    PROBING = "probing"
    """The breaker is half-open and its probes are under way."""
    RAMPING = "ramping"
    """The destination is being loaded step by step."""
    FLAGGED = "flagged"
    """This worker alone sees it fail, and leaves it to the others."""
    FORCED_OPEN = "forced_open"
    """An operator closed the way."""
    PACED = "paced"
    """The destination asked for a pause, or its calls a second are spent."""
    FULL = "full"
    """As many calls as it bears are under way."""


class Tally(NamedTuple):
    """The calls of one part of the window."""

    calls: int = 0
    failures: int = 0
    slow: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one or more calls of one worker, all admitted in the same epoch."""

    epoch: int
    ok: int = 0
    """Answered, and not slowly."""
    slow: int = 0
    """Answered, but slowly."""
    failures: int = 0
    """Its fault: a refusal for overload, a timeout, no connection."""
    refusals: int = 0
    """Those of the failures that ask for less: 429."""
    timeouts: int = 0
    """Those of the failures that took all the time they had."""
    latency_ms: int = 0
    """Of the answered calls together."""
    retry_after_ms: int = 0
    """The longest pause that it asked for."""
    leases: tuple[str, ...] = ()
    """The leases of these calls: over."""

    @property
    def answered(self) -> int:
        """Calls that it answered properly."""
        return self.ok + self.slow

    @property
    def bad(self) -> int:
        """Calls that speak against it."""
        return self.failures + self.slow

    @property
    def calls(self) -> int:
        """Calls that say anything about it."""
        return self.answered + self.failures


def spread(now: int, until: int, over: int, draw: int) -> int:
    """A time at `until` or up to `over` later that differs from caller to caller."""
    return min(until + over * draw // MILLION, now + RECHECK_MS)


def unexpired(leases: Mapping[str, int], now: int) -> Mapping[str, int]:
    """The leases that have not run out."""
    return {lease: until for lease, until in leases.items() if until > now}


def without(leases: Mapping[str, int], over: Iterable[str]) -> Mapping[str, int]:
    """The leases that are not over."""
    gone = set(over)
    return {lease: until for lease, until in leases.items() if lease not in gone}


@dataclass(frozen=True, slots=True)
class Circuit:
    """The breaker of one downstream. A new one is closed and knows nothing."""

    state: CircuitState = CircuitState.CLOSED
    epoch: int = 0
    since: int = 0
    """When it moved to this state."""
    trips: int = 0
    """In a row, without a calm time in between."""
    open_until: int = 0
    passed: int = 0
    """Probes that succeeded (half-open)."""
    faltered: int = 0
    """Bad calls of the ramp."""
    buckets: Mapping[int, Tally] = field(default_factory=dict)
    """By number: time divided by the length of a part of the window."""
    witnesses: Mapping[str, int] = field(default_factory=dict)
    """Workers that saw it fail (or be slow), and until when that counts."""
    flagged: str = ""
    """The worker that alone saw it fail; empty when there is none."""
    flagged_until: int = 0
    probes: Mapping[str, int] = field(default_factory=dict)
    """Leases of the probes under way, and when they run out."""

    # -- what time does ---------------------------------------------------------------------------------------

    def at(self, now: int, policy: DownstreamPolicy) -> Circuit:
        """The breaker at `now`: leases that ran out are gone, and moves that time alone makes are made."""
        circuit = replace(
            self,
            probes=unexpired(self.probes, now),
            witnesses=unexpired(self.witnesses, now),
            buckets=self._window(now, policy),
        )
        if self.flagged and self.flagged_until <= now:
            circuit = replace(circuit, flagged="", flagged_until=0)
        if self.state is CircuitState.OPEN and now >= self.open_until:
            return circuit._move(CircuitState.HALF_OPEN, now)
        if self.state is CircuitState.RAMP and self._step(now, policy) >= len(policy.ramp_permille):
            return circuit._move(CircuitState.CLOSED, now)
        return circuit

    def _window(self, now: int, policy: DownstreamPolicy) -> Mapping[int, Tally]:
        oldest = now // policy.bucket_ms - BUCKETS + 1
        return {number: tally for number, tally in self.buckets.items() if number >= oldest}

    def _step(self, now: int, policy: DownstreamPolicy) -> int:
        return (now - self.since) // policy.ramp_step_ms

    # -- who may call -----------------------------------------------------------------------------------------

    def refusal(self, now: int, draw: int, worker: str, policy: DownstreamPolicy) -> tuple[Reason, int] | None:
        """Why `worker` may not call at `now`, and when to ask again; None when it may."""
        if worker == self.flagged:
            return Reason.FLAGGED, now
        match self.state:
            case CircuitState.OPEN:
                # Its probes are all that it lets through then; if they fail it opens for this long.
                return Reason.OPEN, spread(now, self.open_until, _period(self.trips + 1, policy), draw)
            case CircuitState.HALF_OPEN if self.passed + len(self.probes) >= policy.probes:
                lasting = _period(self.trips + 1, policy)  # who came back earlier would have come for nothing
                return Reason.PROBING, spread(now, now + lasting, lasting, draw)
            case CircuitState.RAMP if draw >= policy.ramp_permille[self._step(now, policy)] * 1000:
                return Reason.RAMPING, spread(now, now + policy.ramp_step_ms, policy.ramp_step_ms // 2, draw)
        return None

    def grant(self, lease: str, now: int, policy: DownstreamPolicy) -> Circuit:
        """Note the lease of a probe."""
        return replace(self, probes={**self.probes, lease: now + policy.lease_ms})

    # -- what came of it --------------------------------------------------------------------------------------

    def over(self, leases: Iterable[str]) -> Circuit:
        """These calls have ended."""
        return replace(self, probes=without(self.probes, leases))

    def learn(self, report: Report, now: int, draw: int, worker: str, alive: int, policy: DownstreamPolicy) -> Circuit:
        """Take the evidence in. `alive` is how many workers could have seen it."""
        if report.calls == 0 or report.epoch not in {self.epoch, ANY_EPOCH}:
            return self
        match self.state:
            case CircuitState.CLOSED:
                return self._count(report, now, worker, policy)._judge(now, draw, worker, alive, policy)
            case CircuitState.HALF_OPEN if report.bad:
                return self._trip(now, draw, policy)
            case CircuitState.HALF_OPEN:
                passed = replace(self, passed=self.passed + report.ok)
                return passed._move(CircuitState.RAMP, now) if passed.passed >= policy.probes else passed
            case CircuitState.RAMP:
                faltered = replace(self, faltered=self.faltered + report.bad)
                return faltered._trip(now, draw, policy) if faltered.faltered >= policy.ramp_failures else faltered
        return self

    def _count(self, report: Report, now: int, worker: str, policy: DownstreamPolicy) -> Circuit:
        number = now // policy.bucket_ms
        had = self.buckets.get(number, Tally())
        tally = Tally(had.calls + report.calls, had.failures + report.failures, had.slow + report.slow)
        circuit = replace(self, buckets={**self.buckets, number: tally})
        if not report.bad or (worker not in self.witnesses and len(self.witnesses) >= policy.witnesses):
            return circuit
        return replace(circuit, witnesses={**self.witnesses, worker: now + policy.window_ms})

    def _judge(self, now: int, draw: int, worker: str, alive: int, policy: DownstreamPolicy) -> Circuit:
        seen = self.tally()
        sick = seen.calls >= policy.least_calls and (
            seen.failures * 1000 >= seen.calls * policy.failures_permille
            or seen.slow * 1000 >= seen.calls * policy.slow_permille
        )
        if not sick or not self.witnesses:
            return self
        if len(self.witnesses) >= min(policy.witnesses, max(alive, 1)):
            return self._trip(now, draw, policy)
        if self.flagged or worker not in self.witnesses:
            return self
        return replace(self, flagged=worker, flagged_until=now + policy.open_ms)

    def tally(self) -> Tally:
        """All calls of the window."""
        return Tally(*(sum(column) for column in zip(Tally(), *self.buckets.values(), strict=True)))

    # -- moves ------------------------------------------------------------------------------------------------

    def _trip(self, now: int, draw: int, policy: DownstreamPolicy) -> Circuit:
        calm = self.state is CircuitState.CLOSED and now - self.since >= policy.calm_ms
        trips = 1 if calm else self.trips + 1
        period = _period(trips, policy)
        jitter = period * policy.jitter_permille // 1000 * draw // MILLION
        return replace(self._move(CircuitState.OPEN, now), trips=trips, open_until=now + period + jitter)

    def _move(self, to: CircuitState, now: int) -> Circuit:
        return Circuit(to, self.epoch + 1, now, self.trips, flagged=self.flagged, flagged_until=self.flagged_until)


def _period(trips: int, policy: DownstreamPolicy) -> int:
    """How long it is open after so many trips in a row, jitter apart."""
    return min(policy.open_most_ms, policy.open_ms << min(trips - 1, 20))
