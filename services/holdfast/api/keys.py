"""API keys, for whoever has the role `admin`. The first one is made on the server: `holdfast keys create`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from holdfast.api.auth import requires
from holdfast.api.schemas import Instant, Reason
from holdfast.api.state import StateDep, answer
from holdfast.api.strict import StrictRoute
from holdfast.domain.audit import Actor
from holdfast.domain.errors import NotFound
from holdfast.domain.tenancy import DEFAULT_TENANT, Caller, Role
from holdfast.ports.keys import ApiKey

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=StrictRoute)

Admin = Annotated[Caller, Depends(requires(Role.ADMIN))]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[\w.:/@ -]+$")]


class KeyIn(BaseModel):
    """A key to be made."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "shop", "roles": ["submit", "read"]}]}
    )

    name: Annotated[Name, Field(description="Whose key it is; shows in the audit trail.")]
    tenant: Annotated[Name, Field(description="The tenant that it acts for.")] = DEFAULT_TENANT
    roles: Annotated[list[Role], Field(min_length=1, max_length=len(Role))] = [Role.SUBMIT, Role.READ]
    expires_at: Annotated[Instant | None, Field(description="When it ends by itself; never without it.")] = None
    reason: Reason | None = None


class KeyOut(BaseModel):
    """A key without its text; `prefix` is what it begins with. `last_used_at` is exact to a minute."""

    id: UUID
    name: str
    tenant: str
    roles: list[Role]
    prefix: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewKeyOut(KeyOut):
    """A new key with its text, which is not shown again."""

    key: str


class KeysOut(BaseModel):
    """Every key, newest first, revoked and expired ones too."""

    keys: list[KeyOut]


@router.post("", status_code=201, response_model=NewKeyOut)
async def create(body: KeyIn, state: StateDep, caller: Admin) -> Response:
    """Make a key. Its text is in this answer and nowhere else: only its SHA-256 is kept."""
    key, text = await state.runtime.issue_keys.issue(
        Actor.of(caller, Role.ADMIN), body.name, body.tenant, body.roles, body.expires_at, body.reason
    )
    return answer(_out(key) | {"key": text}, 201, {"Location": f"/v1/keys/{key.id}", "Cache-Control": "no-store"})


@router.get("", response_model=KeysOut)
async def list_keys(state: StateDep, _: Admin) -> Response:
    """List the keys of all tenants."""
    return answer({"keys": list(map(_out, await state.runtime.keys.all()))})


@router.get("/{key_id}", response_model=KeyOut)
async def read(key_id: UUID, state: StateDep, _: Admin) -> Response:
    """Show one key."""
    return answer(_out(await _key(state, key_id)))


@router.delete("/{key_id}", response_model=KeyOut)
async def revoke(key_id: UUID, state: StateDep, caller: Admin, reason: Reason | None = None) -> Response:
    """Revoke a key; every api process notices within ten seconds. One that was revoked before stays as it is."""
    key = await _key(state, key_id)
    revoked = await state.runtime.issue_keys.revoke(Actor.of(caller, Role.ADMIN), key, reason)
    return answer(_out(revoked or await _key(state, key_id)))


async def _key(state: StateDep, key_id: UUID) -> ApiKey:
    key = await state.runtime.keys.get(key_id)
    if key is None:
        raise NotFound(f"there is no API key {key_id}; `GET /v1/keys` lists them")
    return key


def _out(key: ApiKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in KeyOut.model_fields} | {"roles": sorted(key.roles)}
