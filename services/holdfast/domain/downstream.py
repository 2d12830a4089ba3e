"""One downstream of the whole cluster: its breaker, what it bears, and what an operator said about it.

`admit` and `record` are the two questions; each takes the downstream as it was, and gives the one that is to be kept.
An operator's override beats the breaker, both ways, until its time is over; it does not beat a Retry-After or a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from holdfast.domain.circuit import MILLION, Circuit, CircuitState, Reason, Report, Tally, spread
from holdfast.domain.downstream_policy import DownstreamPolicy
from holdfast.domain.throttle import Throttle


class Forced(StrEnum):
    """What an operator can say."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Override:
    """An operator's word, until `until` (milliseconds)."""

    state: Forced
    until: int
    reason: str
    by: str
    at: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for a call. `draw` lies in [0, 1_000_000); `lease` is unique to the call."""

    worker: str
    lease: str
    draw: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may be made."""

    epoch: int
    leased: bool
    """Whether the call holds a lease, which its report must end."""
    fresh: bool
    """Nothing is the matter: for `fresh_ms` a process need not ask again."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The call may not be made; ask again at `retry_at`."""

    reason: Reason
    retry_at: int


@dataclass(frozen=True, slots=True)
class Move:
    """The breaker moved, or a worker was flagged or is no longer."""

    before: CircuitState
    after: CircuitState
    trips: int
    open_until: int
    flagged: str


@dataclass(frozen=True, slots=True)
class Downstream:
    """A new one is healthy as far as anybody knows."""

    circuit: Circuit = field(default_factory=Circuit)
    throttle: Throttle = field(default_factory=Throttle)
    override: Override | None = None

    def at(self, now: int, policy: DownstreamPolicy) -> Downstream:
        """As it is at `now`."""
        spoken = self.override if self.override and now < self.override.until else None
        return Downstream(self.circuit.at(now, policy), self.throttle.at(now, policy), spoken)

    def admit(self, ask: Ask, now: int, policy: DownstreamPolicy) -> tuple[Downstream, Admitted | Refused]:
        """Grant or refuse a call. What is given back is the same object when there is nothing new to be kept."""
        current = self.at(now, policy)
        after, answer = current._decide(ask, now, policy)
        return (self if after is current and moved(self, current) is None else after), answer

    def _decide(self, ask: Ask, now: int, policy: DownstreamPolicy) -> tuple[Downstream, Admitted | Refused]:
        forced = self.override.state if self.override else None
        if self.override and forced is Forced.OPEN:
            until = self.override.until
            return self, Refused(Reason.FORCED_OPEN, spread(now, until, until - now, ask.draw))
        refusal = None if forced else self.circuit.refusal(now, ask.draw, ask.worker, policy)
        if refusal is not None:
            return self, Refused(*refusal)
        if self.throttle.paused_until:
            jitter = policy.ramp_step_ms * ask.draw // MILLION
            return self, Refused(Reason.PACED, self.throttle.paused_until + jitter)
        if not forced and self.circuit.state is CircuitState.HALF_OPEN:
            probing = replace(self, circuit=self.circuit.grant(ask.lease, now, policy))
            return probing, Admitted(self.circuit.epoch, leased=True, fresh=False)
        wait = self.throttle.refusal(now)
        if wait is not None:
            throttle = self.throttle.queue(now, wait[1])
            return replace(self, throttle=throttle), Refused(wait[0], throttle.line_at)
        settled = self.circuit.state is CircuitState.CLOSED and not self.circuit.flagged and self.override is None
        if self.throttle.free:
            return self, Admitted(self.circuit.epoch, leased=False, fresh=settled)
        granted = replace(self, throttle=self.throttle.grant(ask.lease, now, policy))
        return granted, Admitted(self.circuit.epoch, leased=self.throttle.limit > 0, fresh=False)

    def record(
        self, report: Report, worker: str, alive: int, draw: int, now: int, policy: DownstreamPolicy
    ) -> Downstream:
        """Take in what came of calls of `worker`, when `alive` workers could have made some."""
        current = self.at(now, policy)
        circuit, throttle = current.circuit.over(report.leases), current.throttle.over(report.leases)
        if report.calls:
            throttle = throttle.learn(report, now, _per_second(circuit, now, policy), policy)
        if current.override is None:
            learnt = circuit.learn(report, now, draw, worker, alive, policy)
            if learnt.state is CircuitState.OPEN and circuit.state is not CircuitState.OPEN:
                throttle = throttle.least(policy)
            circuit = learnt
        return Downstream(circuit, throttle, current.override)

    def forced(self, override: Override | None, now: int, policy: DownstreamPolicy) -> Downstream:
        """With an operator's word, or without one."""
        return replace(self.at(now, policy), override=override)

    def remember_ms(self, now: int, policy: DownstreamPolicy) -> int:
        """How long it must be kept after the last call: a healthy one is soon the same as a new one."""
        until = max(
            now + 2 * policy.window_ms,
            self.override.until if self.override else 0,
            self.throttle.paused_until,
            max(self.circuit.open_until, self.circuit.since) + policy.calm_ms if self.circuit.trips else 0,
        )
        return until - now + policy.lease_ms

    def tally(self) -> Tally:
        """The calls of the window."""
        return self.circuit.tally()


def moved(before: Downstream, after: Downstream) -> Move | None:
    """What people should hear of, if anything."""
    old, new = before.circuit, after.circuit
    if old.epoch == new.epoch and old.flagged == new.flagged:
        return None
    return Move(old.state, new.state, new.trips, new.open_until, new.flagged)


def _per_second(circuit: Circuit, now: int, policy: DownstreamPolicy) -> int:
    """Calls lately, in thousandths a second."""
    if not circuit.buckets:
        return 0
    began = min(circuit.buckets) * policy.bucket_ms
    return circuit.tally().calls * MILLION // max(1000, now - began)


# -- as JSON, which is how Redis keeps it -----------------------------------------------------------------------


def to_plain(downstream: Downstream) -> dict[str, Any]:
    """Plain data for JSON; `adapters/redis/breaker.lua` reads and writes the same."""
    circuit, throttle, override = downstream.circuit, downstream.throttle, downstream.override
    plain: dict[str, Any] = {"circuit": _fields(circuit), "throttle": _fields(throttle)}
    if override is not None:
        plain["override"] = _fields(override)
    return plain


def from_plain(plain: Mapping[str, Any]) -> Downstream:
    """What `to_plain` or the script wrote. An empty map may come as an empty list: Lua knows no difference."""
    circuit, throttle, override = dict(plain["circuit"]), dict(plain["throttle"]), plain.get("override")
    circuit["state"] = CircuitState(circuit["state"])
    circuit["buckets"] = {int(number): Tally(*tally) for number, tally in dict(circuit["buckets"]).items()}
    for place, name in ((circuit, "witnesses"), (circuit, "probes"), (throttle, "leases")):
        place[name] = dict(place[name])
    said = Override(**{**override, "state": Forced(override["state"])}) if override else None
    return Downstream(Circuit(**circuit), Throttle(**throttle), said)


def _fields(value: Circuit | Throttle | Override) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
