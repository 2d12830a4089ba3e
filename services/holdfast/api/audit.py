"""The audit trail, for operators: who did what, and why. What an entry means is told in `domain/audit.py`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from holdfast.api.auth import requires
from holdfast.api.schemas import Instant
from holdfast.api.state import State, StateDep, answer, cursor_id, next_cursor
from holdfast.api.strict import StrictRoute
from holdfast.domain.audit import Actor, AuditAction, AuditEntry, AuditOutcome
from holdfast.domain.tenancy import Caller, Role
from holdfast.ports.audit import AuditQuery

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=StrictRoute)


class ActorOut(BaseModel):
    """Who acted. `key_id` is null on the server's command line and in open development."""

    tenant: str
    name: str
    role: Role
    key_id: UUID | None
    address: str | None


class AuditEntryOut(BaseModel):
    """One action. `begun` says that it may have happened: the process ended, or the ledger went away, in its middle."""

    id: UUID
    at: datetime
    actor: ActorOut
    action: AuditAction
    target: str
    reason: str | None
    details: dict[str, Any]
    outcome: AuditOutcome
    request_id: str | None


class AuditOut(BaseModel):
    """A page of entries, newest first."""

    entries: list[AuditEntryOut]
    next_cursor: str | None


class AuditFilter(BaseModel):
    """Which entries; every condition must hold."""

    model_config = ConfigDict(extra="forbid")

    action: AuditAction | None = None
    outcome: AuditOutcome | None = None
    actor: Annotated[str | None, Field(max_length=200, description="The name of a key.")] = None
    tenant: Annotated[str | None, Field(max_length=200, description="The actor's.")] = None
    target: Annotated[str | None, Field(max_length=500, description="The id or name that it was done to.")] = None
    since: Instant | None = None
    until: Instant | None = None


@router.get("", response_model=AuditOut)
async def list_entries(
    state: StateDep,
    _: Annotated[Caller, Depends(requires(Role.OPERATE))],
    where: Annotated[AuditFilter, Depends()],
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """List what operators of all tenants did, newest first."""
    query = AuditQuery(**where.model_dump(), before=cursor_id(cursor), limit=limit)
    found = await state.runtime.audit.find(query)
    return answer({"entries": list(map(_out, found)), "next_cursor": next_cursor([it.id for it in found], limit)})


def entry(
    state: State,
    caller: Caller,
    action: AuditAction,
    target: object,
    reason: str | None,
    details: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """The entry of an action that the caller does in the role `operate`."""
    new_id = state.runtime.core.clock.new_id()
    return AuditEntry(new_id, Actor.of(caller, Role.OPERATE), action, str(target), reason, details or {})


def _out(found: AuditEntry) -> dict[str, Any]:
    actor = found.actor
    return {
        "id": found.id,
        "at": found.at,
        "actor": {name: getattr(actor, name) for name in ActorOut.model_fields},
        "action": found.action,
        "target": found.target,
        "reason": found.reason,
        "details": found.details,
        "outcome": found.outcome,
        "request_id": actor.request_id,
    }
