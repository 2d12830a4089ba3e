"""The rate limits of a caller, asked before its request is looked at, and the headers that tell of them.

`RateLimit-Policy` and `RateLimit` are those of draft-ietf-httpapi-ratelimit-headers-11. A bucket is told as a window:
`q` jobs in `w` seconds are what it holds and the time in which it fills from empty; `r` jobs are there now, and no
more than these for the next `t` seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends

from holdfast.api import problems
from holdfast.api.auth import requires
from holdfast.api.state import StateDep
from holdfast.domain.tenancy import Caller, Role
from holdfast.engine.meter import Charge


async def charge(state: StateDep, caller: Caller, jobs: int) -> Charge:
    """Charge the caller for so many jobs; raise the 429 problem when not even one of them is granted."""
    made = await state.runtime.meter.charge(caller, jobs)
    if not made.granted:
        problem = problems.of(made.refusal())
        problem.headers |= headers(made)
        raise problem
    return made


async def _one_job(state: StateDep, caller: Annotated[Caller, Depends(requires(Role.SUBMIT))]) -> Charge:
    return await charge(state, caller, 1)


ChargedOne = Annotated[Charge, Depends(_one_job)]
"""For a route that takes one job: charged before the body is validated."""


def headers(made: Charge) -> dict[str, str]:
    """What a response to the request says of the limits; nothing where there are none."""
    if not made.uses:
        return {}
    return {
        "RateLimit-Policy": _list(
            f'"{use.limit}";q={use.rate.burst};w={_seconds(use.rate.seconds_for(use.rate.burst))}' for use in made.uses
        ),
        "RateLimit": _list(f'"{use.limit}";r={use.grant.remaining};t={_seconds(use.grant.wait)}' for use in made.uses),
    }


def _list(items: Iterable[str]) -> str:
    return ", ".join(items)


def _seconds(exact: float) -> int:
    """Whole seconds, and at least one: what a structured field of this kind can say."""
    return max(1, math.ceil(exact))
