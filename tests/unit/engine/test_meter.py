"""Every limit of a caller is asked, the key's before its tenant's, and single ones can have a rate of their own."""

from __future__ import annotations

import pytest

from holdfast.adapters.memory.limiter import MemoryLimiter
from holdfast.domain.bucket import Rate
from holdfast.domain.tenancy import Caller, Role
from holdfast.engine.meter import Meter, RateLimits

SLOW = 1 / 3600


def caller(tenant: str = "acme", name: str = "shop") -> Caller:
    return Caller(tenant, name, frozenset({Role.SUBMIT}))


def meter(limits: RateLimits) -> Meter:
    return Meter(MemoryLimiter(lambda: 0.0), limits)


async def test_without_limits_everything_is_granted_and_nothing_is_told() -> None:
    charge = await meter(RateLimits()).charge(caller(), 1000)
    assert (charge.granted, charge.uses) == (1000, ())


async def test_what_a_key_may_not_send_costs_its_tenant_nothing() -> None:
    asked = meter(RateLimits(key=Rate(SLOW, 2), tenant=Rate(SLOW, 5)))
    for _ in range(10):
        await asked.charge(caller(), 1)
    charge = await asked.charge(caller(name="other"), 5)
    assert charge.granted == 2
    assert [(use.limit, use.asked, use.grant.remaining) for use in charge.uses] == [("key", 5, 0), ("tenant", 2, 1)]


async def test_the_refusal_names_the_limit_that_was_met_and_waits_for_it() -> None:
    asked = meter(RateLimits(key=Rate(1.0, 100), tenant=Rate(SLOW, 3)))
    refusal = (await asked.charge(caller(), 5)).refusal()
    assert refusal.violated == ("tenant",)
    assert refusal.retry_after.total_seconds() == pytest.approx(7200)


async def test_single_tenants_and_keys_can_have_another_rate_or_none() -> None:
    overrides = {"tenant:acme": Rate(SLOW, 7), "key:import": None}
    asked = meter(RateLimits(Rate(SLOW, 1), Rate(SLOW, 2), overrides))
    assert (await asked.charge(caller("acme", "import"), 10)).granted == 7
    assert (await asked.charge(caller("globex", "shop"), 10)).granted == 1
