"""The kinds of job that can be submitted, with the schema of each payload."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from holdfast.api.schemas import KindsOut, kind_out
from holdfast.api.state import StateDep, answer
from holdfast.api.strict import StrictRoute

router = APIRouter(prefix="/v1/kinds", tags=["kinds"], route_class=StrictRoute)


@router.get("", response_model=KindsOut)
async def list_kinds(state: StateDep) -> Response:
    """List every kind: the built-in ones, and those of installed packages."""
    return answer({"kinds": [kind_out(handler) for handler in state.runtime.core.kinds.all()]})
