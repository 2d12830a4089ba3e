"""Webhook endpoints of the caller's tenant. Looking needs the role `read`, every change `operate`, and is audited.

A repeated POST makes a second endpoint, which does no harm until somebody names it; `DELETE` takes it away.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from holdfast.api import audit, endpoint_schemas
from holdfast.api.auth import requires
from holdfast.api.endpoint_schemas import endpoint_out
from holdfast.api.schemas import Reason
from holdfast.api.state import State, StateDep, answer, cursor_id, next_cursor
from holdfast.api.strict import StrictRoute
from holdfast.domain.audit import AuditAction
from holdfast.domain.endpoint import Endpoint, EndpointState, SigningSecret
from holdfast.domain.errors import NotFound
from holdfast.domain.tenancy import Caller, Role

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"], route_class=StrictRoute)

Reader = Annotated[Caller, Depends(requires(Role.READ))]
Operator = Annotated[Caller, Depends(requires(Role.OPERATE))]
NOT_STORED = {"Cache-Control": "no-store"}
SECRET_BYTES = 32


@router.post("", status_code=201, response_model=endpoint_schemas.NewSecretOut)
async def create(body: endpoint_schemas.EndpointIn, state: StateDep, caller: Operator) -> Response:
    """Make an endpoint. Its secret is in this answer and nowhere else."""
    core, secret = state.runtime.core, body.secret or _new_secret()
    now = core.clock.now()
    endpoint = Endpoint(
        id=core.clock.new_id(),
        tenant=caller.tenant,
        url=body.url,
        created_at=now,
        since=now,
        secrets=(SigningSecret(core.vault.seal(secret), now),),
        description=body.description,
        event_types=tuple(body.event_types),
        headers=_sealed(state, body.headers),
    )
    entry = audit.entry(state, caller, AuditAction.ENDPOINT_CREATE, endpoint.id, body.reason)
    await state.runtime.endpoints.add(endpoint, entry)
    shown = endpoint_out(endpoint, now) | {"secret": secret}
    return answer(shown, 201, {"Location": f"/v1/endpoints/{endpoint.id}"} | NOT_STORED)


@router.get("", response_model=endpoint_schemas.EndpointsOut)
async def list_endpoints(
    state: StateDep,
    caller: Reader,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """List the endpoints, newest first."""
    found = await state.runtime.endpoints.all(caller.tenant, cursor_id(cursor), limit)
    now = state.runtime.core.clock.now()
    shown = [endpoint_out(endpoint, now) for endpoint in found]
    return answer({"endpoints": shown, "next_cursor": next_cursor([it.id for it in found], limit)})


@router.get("/{endpoint_id}", response_model=endpoint_schemas.EndpointDetailsOut)
async def read(endpoint_id: UUID, state: StateDep, caller: Reader) -> Response:
    """Show one endpoint, and how many jobs are parked until it is enabled."""
    endpoint = await _endpoint(state, caller, endpoint_id)
    parked = await state.runtime.endpoints.parked(endpoint_id, endpoint_schemas.MOST_PARKED)
    return answer(endpoint_out(endpoint, state.runtime.core.clock.now()) | {"parked_jobs": parked})


@router.patch("/{endpoint_id}", response_model=endpoint_schemas.EndpointOut)
async def change(
    endpoint_id: UUID, body: endpoint_schemas.EndpointChangeIn, state: StateDep, caller: Operator
) -> Response:
    """Change an endpoint. Jobs that wait are delivered by what it says when their turn comes."""
    chosen: dict[str, Any] = body.model_dump(exclude_none=True, exclude={"reason"})
    if "event_types" in chosen:
        chosen["event_types"] = tuple(chosen["event_types"])
    if "headers" in chosen:
        chosen["headers"] = _sealed(state, chosen["headers"])
    about = {"fields": sorted(chosen)}
    action = AuditAction.ENDPOINT_CHANGE
    return await _change(state, caller, endpoint_id, action, lambda it: replace(it, **chosen), body.reason, about)


@router.delete("/{endpoint_id}", response_model=endpoint_schemas.EndpointOut)
async def delete(endpoint_id: UUID, state: StateDep, caller: Operator, reason: Reason | None = None) -> Response:
    """Delete an endpoint, with its secrets. Jobs that still name it end as dead, with the error `EndpointDeleted`."""
    now = state.runtime.core.clock.now()
    return await _change(state, caller, endpoint_id, AuditAction.ENDPOINT_DELETE, lambda it: it.deleted(now), reason)


@router.post("/{endpoint_id}/rotate-secret", response_model=endpoint_schemas.NewSecretOut)
async def rotate_secret(
    endpoint_id: UUID, state: StateDep, caller: Operator, body: endpoint_schemas.RotateIn | None = None
) -> Response:
    """Give the endpoint a new secret, which is in this answer and nowhere else. For a while the old one signs too."""
    asked, core = body or endpoint_schemas.RotateIn(), state.runtime.core
    secret, now = asked.secret or _new_secret(), core.clock.now()
    sealed, overlap = core.vault.seal(secret), timedelta(seconds=asked.overlap_seconds)
    return await _change(
        state,
        caller,
        endpoint_id,
        AuditAction.ENDPOINT_ROTATE_SECRET,
        lambda it: it.rotated(sealed, now, overlap),
        asked.reason,
        {"overlap_seconds": asked.overlap_seconds},
        {"secret": secret},
    )


@router.post("/{endpoint_id}/enable", response_model=endpoint_schemas.EndpointOut)
async def enable(
    endpoint_id: UUID, state: StateDep, caller: Operator, body: endpoint_schemas.WhyIn | None = None
) -> Response:
    """Deliver again. Parked jobs begin within about a second, a few at first and more every second."""
    now, why = state.runtime.core.clock.now(), body.reason if body else None
    return await _change(state, caller, endpoint_id, AuditAction.ENDPOINT_ENABLE, lambda it: it.enabled(now), why)


@router.post("/{endpoint_id}/disable", response_model=endpoint_schemas.EndpointOut)
async def disable(
    endpoint_id: UUID, state: StateDep, caller: Operator, body: endpoint_schemas.WhyIn | None = None
) -> Response:
    """Deliver no more, from about a second on: jobs are parked until it is enabled. It is not probed meanwhile."""
    now, why = state.runtime.core.clock.now(), body.reason if body else None
    said = f"disabled by {caller.name}" + (f": {why}" if why else "")
    return await _change(
        state, caller, endpoint_id, AuditAction.ENDPOINT_DISABLE, lambda it: it.disabled(now, said), why
    )


async def _change(
    state: State,
    caller: Caller,
    endpoint_id: UUID,
    action: AuditAction,
    make: Callable[[Endpoint], Endpoint],
    reason: str | None,
    about: Mapping[str, Any] | None = None,
    shown: Mapping[str, Any] | None = None,
) -> Response:
    """Make a change with its audit entry, and show the endpoint and what is `shown` once."""
    await _endpoint(state, caller, endpoint_id)
    entry = audit.entry(state, caller, action, endpoint_id, reason, about)
    unless_deleted = _unless_deleted(make)
    after = await state.runtime.endpoints.change(endpoint_id, unless_deleted, entry)
    if after is None or (after.state is EndpointState.DELETED and action is not AuditAction.ENDPOINT_DELETE):
        raise _no_endpoint(endpoint_id)
    headers = NOT_STORED if shown else {}
    return answer(endpoint_out(after, state.runtime.core.clock.now()) | dict(shown or {}), 200, headers)


def _unless_deleted(make: Callable[[Endpoint], Endpoint]) -> Callable[[Endpoint], Endpoint]:
    """Somebody may delete it between our look and our change; then it stays deleted."""
    return lambda endpoint: endpoint if endpoint.state is EndpointState.DELETED else make(endpoint)


async def _endpoint(state: State, caller: Caller, endpoint_id: UUID) -> Endpoint:
    endpoint = await state.runtime.endpoints.get(endpoint_id)
    if endpoint is None or endpoint.tenant != caller.tenant or endpoint.state is EndpointState.DELETED:
        raise _no_endpoint(endpoint_id)
    return endpoint


def _no_endpoint(endpoint_id: UUID) -> NotFound:
    return NotFound(f"there is no endpoint {endpoint_id}; `GET /v1/endpoints` lists yours")


def _sealed(state: State, headers: Mapping[str, str]) -> dict[str, str]:
    return {name: state.runtime.core.vault.seal(value) for name, value in headers.items()}


def _new_secret() -> str:
    """`whsec_` and 256 bits of chance."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
