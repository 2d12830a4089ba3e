"""The breakers of downstreams, for operators: how each stands, and a word of theirs that beats it for a while.

Breakers live in Redis, so an override is written down as begun before it is made (see `domain.audit`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from holdfast.api import audit
from holdfast.api.auth import requires
from holdfast.api.schemas import Reason
from holdfast.api.state import StateDep, answer
from holdfast.api.strict import StrictRoute
from holdfast.domain.audit import AuditAction
from holdfast.domain.circuit import CircuitState
from holdfast.domain.downstream import Forced, Override
from holdfast.domain.tenancy import Caller, Role
from holdfast.engine.audited import audited
from holdfast.ports.downstreams import Known

router = APIRouter(prefix="/v1/breakers", tags=["breakers"], route_class=StrictRoute)

LONGEST = 7 * 24 * 3600.0
"""Seconds of an override: what is to hold for longer belongs into the settings."""
Operator = Annotated[Caller, Depends(requires(Role.OPERATE))]
Name = Annotated[
    str,
    Path(
        pattern=r"^[!-.0-~]{1,300}$",
        description="Family and destination.",
        examples=["webhook:hooks.example.com"],
    ),
]


class OverrideIn(BaseModel):
    """An operator's word about a downstream."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"state": "open", "ttl": 1800, "reason": "their maintenance, until 15:00"}]},
    )

    state: Annotated[
        Forced, Field(description="open: nothing is sent, its jobs are parked. closed: the breaker does not trip.")
    ]
    ttl: Annotated[float, Field(gt=0, le=LONGEST, description="Seconds for which it holds.")]
    reason: Reason


class OverrideOut(BaseModel):
    """What an operator said, and until when it holds."""

    state: Forced
    until: datetime
    reason: str
    by: str
    at: datetime


class BreakerOut(BaseModel):
    """One downstream as the whole pool sees it. Rates are shares of the calls of the rolling window."""

    name: str
    state: CircuitState
    since: datetime | None
    calls: int
    failures: int
    slow: int
    failure_rate: float
    slow_rate: float
    open_until: datetime | None
    trips: int
    override: OverrideOut | None
    flagged: Annotated[str | None, Field(description="The worker that alone sees it fail.")]
    limit: Annotated[int | None, Field(description="Calls at once that it bears; null while it has not complained.")]
    in_flight: int
    per_second: Annotated[float | None, Field(description="Calls a second that it bears; null likewise.")]
    paused_until: Annotated[datetime | None, Field(description="Its own `Retry-After`.")]


class BreakersOut(BaseModel):
    """The downstreams of which anything is known, by name."""

    breakers: list[BreakerOut]


@router.get("", response_model=BreakersOut)
async def list_breakers(state: StateDep, _: Operator) -> Response:
    """List the downstreams of which anything is known: those that were called of late, and those with an override."""
    return answer({"breakers": list(map(_out, await state.runtime.breakers.all()))})


@router.get("/{name}", response_model=BreakerOut)
async def read(name: Name, state: StateDep, _: Operator) -> Response:
    """Show one downstream; one of which nothing is known is healthy as far as anybody can tell."""
    return answer(_out(await state.runtime.breakers.look(name)))


@router.put("/{name}/override", response_model=BreakerOut)
async def override(name: Name, body: OverrideIn, state: StateDep, caller: Operator) -> Response:
    """Force a breaker open or closed for a while, whatever it sees. It beats neither a Retry-After nor a limit.

    Workers that have just asked about the downstream learn of it a second later.
    """
    breakers = state.runtime.breakers
    details = {"state": body.state.value, "ttl": body.ttl}
    entry = audit.entry(state, caller, AuditAction.BREAKER_OVERRIDE, name, body.reason, details)
    async with audited(state.runtime.audit, entry):
        now = await breakers.now()
        until = now + int(timedelta(seconds=body.ttl) / timedelta(milliseconds=1))
        known = await breakers.override(name, Override(body.state, until, body.reason, caller.name, now))
    return answer(_out(known))


@router.delete("/{name}/override", response_model=BreakerOut)
async def clear(name: Name, state: StateDep, caller: Operator, reason: Reason | None = None) -> Response:
    """Take an override back; the breaker goes on from where it is. Without one this changes nothing."""
    entry = audit.entry(state, caller, AuditAction.BREAKER_RELEASE, name, reason)
    async with audited(state.runtime.audit, entry):
        known = await state.runtime.breakers.clear(name)
    return answer(_out(known))


def _out(known: Known) -> dict[str, Any]:
    shown = {field: getattr(known, field) for field in BreakerOut.model_fields}
    times = {field: _time(shown[field]) for field in ("since", "open_until", "paused_until")}
    said = known.override
    override = said and {
        "state": said.state,
        "until": _time(said.until),
        "reason": said.reason,
        "by": said.by,
        "at": _time(said.at),
    }
    return shown | times | {"override": override}


def _time(milliseconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(milliseconds / 1000, UTC) if milliseconds else None
