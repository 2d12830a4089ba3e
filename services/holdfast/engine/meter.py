"""Charge each request to the rate limits of its caller, before anything else is done for it.

A job costs a token of its API key and one of its tenant, the key's first: what a key may not send costs its tenant
nothing, and a tenant's limit costs the key its tokens, so that one busy key cannot keep another from its share.
A request costs its tokens whatever becomes of it: also when it is wrong, when the platform then refuses it, and
when it repeats an Idempotency-Key, for it is the asking that is limited.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from holdfast.domain.bucket import Grant, Rate
from holdfast.domain.errors import RateLimited, RefusedFor
from holdfast.domain.tenancy import Caller
from holdfast.ports.limiter import Limiter
from holdfast.telemetry import metrics


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The rates of every key and every tenant, None for none, and those of single ones: `key:name`, `tenant:name`."""

    key: Rate | None = None
    tenant: Rate | None = None
    overrides: Mapping[str, Rate | None] = field(default_factory=dict)

    def of(self, caller: Caller) -> Iterator[tuple[str, str, Rate]]:
        """The limits that the caller meets, in the order in which they are asked: name, subject and rate."""
        key = self.overrides.get(f"key:{caller.name}", self.key)
        tenant = self.overrides.get(f"tenant:{caller.tenant}", self.tenant)
        if key is not None:
            yield "key", f"key/{caller.tenant}/{caller.name}", key
        if tenant is not None:
            yield "tenant", f"tenant/{caller.tenant}", tenant


@dataclass(frozen=True, slots=True)
class Use:
    """One limit after a request was charged to it."""

    limit: str
    rate: Rate
    asked: int
    grant: Grant


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request was charged: `granted` of its `cost` jobs may be submitted, the others are `refusal()`."""

    cost: int
    granted: int
    uses: tuple[Use, ...]

    def refusal(self) -> RateLimited:
        """The error of a job that was not granted."""
        violated = [use for use in self.uses if use.grant.granted < use.asked]
        wait = max((use.grant.wait for use in violated), default=0.0)
        return RateLimited([use.limit for use in violated], timedelta(seconds=wait))


class Meter:
    """Asks the limiter for every limit of a caller."""

    def __init__(self, limiter: Limiter, limits: RateLimits) -> None:
        self._limiter, self._limits = limiter, limits

    async def charge(self, caller: Caller, cost: int) -> Charge:
        """Charge a request of `cost` jobs, in part if there are not tokens enough."""
        granted, uses = cost, list[Use]()
        for name, subject, rate in self._limits.of(caller):
            grant = await self._limiter.take(subject, rate, granted)
            uses.append(Use(name, rate, granted, grant))
            granted = grant.granted
            if granted == 0:
                break
        metrics.turned_away(RefusedFor.RATE_LIMIT, cost - granted)
        return Charge(cost, granted, tuple(uses))
