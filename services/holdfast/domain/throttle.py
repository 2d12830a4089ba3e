"""How many calls one downstream bears, at once and a second: found out by asking, and lowered when it complains.

Nothing is limited until the destination says that it is too much: then calls at once fall by half on a 429 or a timeout
and by a quarter when its answers take several times as long as usual, and calls a second fall to half of what they were
on a 429. Each proper answer raises both a little (additive increase, multiplicative decrease: Chiu and Jain, 1989),
until they pass the ceilings of the policy and are dropped. A Retry-After stops the destination for every worker.

A call under a limit holds a lease that runs out by itself, so a worker that dies holds no place for long. Calls a
second are a token bucket that holds a second's worth (as a theoretical arrival time, ITU-T I.371), because jobs come
back from the broker's retry queues in groups.

Who is refused is given a place in a line: each refusal moves `line_at` on by the time that one call takes, so that
parked jobs come back one after the other and not all at once.

Pure, in integers, and said again in `adapters/redis/breaker.lua`, as `domain.circuit` is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from holdfast.domain.circuit import MILLION, RECHECK_MS, Reason, Report, unexpired, without
from holdfast.domain.downstream_policy import DownstreamPolicy

BURST_MS = 1_000
"""How much of the pace may be saved up."""
UNKNOWN_MS = 100
"""How long a call is taken to last before any has been answered."""
SMOOTHING = 16
"""The usual latency moves by this part of the difference with each report."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """What one downstream bears. A new one is not limited."""

    limit: int = 0
    """Thousandths of a call at once; 0 for no limit."""
    rate: int = 0
    """Thousandths of a call a second; 0 for no pace."""
    arrival_at: int = 0
    """When the next call is due if all come evenly."""
    paused_until: int = 0
    """It asked to be left alone until then; 0 when it did not."""
    line_at: int = 0
    """When the last of those who wait may come back."""
    eased_at: int = 0
    """When the limits were last lowered."""
    usual_us: int = 0
    """Its usual latency in microseconds; 0 while not known."""
    leases: Mapping[str, int] = field(default_factory=dict)
    """Calls under a limit, and when they are given up."""

    def at(self, now: int, policy: DownstreamPolicy) -> Throttle:
        """The throttle at `now`: what has run out is gone, and strict limits are there from the first call."""
        return replace(
            self,
            leases=unexpired(self.leases, now),
            paused_until=self.paused_until if now < self.paused_until else 0,
            limit=self.limit or (policy.concurrency * 1000 if policy.strict else 0),
            rate=self.rate or (policy.rate * 1000 if policy.strict else 0),
        )

    @property
    def free(self) -> bool:
        """Whether nothing is limited."""
        return not (self.limit or self.rate or self.paused_until)

    # -- who may call -----------------------------------------------------------------------------------------

    def refusal(self, now: int) -> tuple[Reason, int] | None:
        """Why no call may be made at `now`, and how long one takes (milliseconds); None when one may."""
        if self.rate and self.arrival_at - now > BURST_MS:
            return Reason.PACED, self._interval()
        if self.limit and (len(self.leases) + 1) * 1000 > self.limit:
            return Reason.FULL, max(1, (self.usual_us or UNKNOWN_MS * 1000) // self.limit)
        return None

    def queue(self, now: int, takes: int) -> Throttle:
        """One more waits, for a call that takes so many milliseconds."""
        return replace(self, line_at=min(max(self.line_at, now) + takes, now + RECHECK_MS))

    def grant(self, lease: str, now: int, policy: DownstreamPolicy) -> Throttle:
        """A call is made."""
        leases = {**self.leases, lease: now + policy.lease_ms} if self.limit else self.leases
        arrival = max(self.arrival_at, now) + self._interval() if self.rate else self.arrival_at
        return replace(self, leases=leases, arrival_at=arrival)

    def _interval(self) -> int:
        return max(1, MILLION // self.rate)

    # -- what came of it --------------------------------------------------------------------------------------

    def over(self, leases: Iterable[str]) -> Throttle:
        """These calls have ended."""
        return replace(self, leases=without(self.leases, leases))

    def learn(self, report: Report, now: int, per_second: int, policy: DownstreamPolicy) -> Throttle:
        """Take the evidence in. `per_second` is how many calls were made lately (thousandths a second)."""
        until = now + min(report.retry_after_ms, policy.retry_after_ms) if report.retry_after_ms else 0
        throttle = replace(self, paused_until=max(self.paused_until, until))
        if report.refusals or report.timeouts:
            return throttle._lower(report.refusals > 0, 500, now, per_second, policy)
        if not report.answered:
            return throttle
        latency = report.latency_ms * 1000 // report.answered
        usual = throttle.usual_us or latency
        grown = latency > usual * policy.growth and latency > policy.growth_least_ms * 1000
        throttle = replace(throttle, usual_us=usual + (latency - usual) // SMOOTHING)
        if grown:
            return throttle._lower(False, 750, now, per_second, policy)
        return throttle._raise(report.answered, policy)

    def _lower(self, slower: bool, permille: int, now: int, per_second: int, policy: DownstreamPolicy) -> Throttle:
        if now - self.eased_at < policy.ease_ms:
            return self
        limit = (self.limit or policy.concurrency * 1000) * permille // 1000
        throttle = replace(self, eased_at=now, limit=max(limit, policy.least_concurrency * 1000))
        if not slower:
            return throttle
        rate = max((self.rate or min(per_second, policy.rate * 1000)) // 2, policy.least_rate * 1000)
        return replace(throttle, rate=rate, arrival_at=max(self.arrival_at, now + BURST_MS))

    def _raise(self, answered: int, policy: DownstreamPolicy) -> Throttle:
        limit = self.limit and self.limit + max(1, MILLION * answered // self.limit)
        rate = self.rate and self.rate + max(1, MILLION * answered // self.rate)
        return replace(
            self,
            limit=_below(limit, policy.concurrency, policy),
            rate=_below(rate, policy.rate, policy),
        )

    def least(self, policy: DownstreamPolicy) -> Throttle:
        """Begin again with the least: it has just been found sick."""
        return replace(self, limit=policy.least_concurrency * 1000)


def _below(value: int, ceiling: int, policy: DownstreamPolicy) -> int:
    """The value, or what becomes of it at the ceiling: no limit, or the ceiling itself when it is strict."""
    if value < ceiling * 1000:
        return value
    return ceiling * 1000 if policy.strict else 0
