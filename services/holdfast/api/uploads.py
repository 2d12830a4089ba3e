"""Uploads: sources that have no URL of their own."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from holdfast.api.auth import requires
from holdfast.api.schemas import UploadOut
from holdfast.api.state import StateDep, answer
from holdfast.api.strict import StrictRoute
from holdfast.domain.errors import InvalidField
from holdfast.domain.tenancy import Caller, Role

router = APIRouter(prefix="/v1/uploads", tags=["uploads"], route_class=StrictRoute)

BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.post("", status_code=201, response_model=UploadOut, openapi_extra=BODY)
async def upload(
    request: Request, state: StateDep, caller: Annotated[Caller, Depends(requires(Role.SUBMIT))]
) -> Response:
    """Store the body as it is; name it in a payload as `{"source": {"upload": "<id>"}}`."""
    data = await request.body()
    if not data:
        raise InvalidField([("", "is empty; send the file's bytes as the body")])
    core = state.runtime.core
    upload_id = core.clock.new_id()
    media_type = request.headers.get("content-type", "application/octet-stream")
    await core.artifacts.put(f"uploads/{caller.tenant}/{upload_id}", data, media_type)
    stored = {"id": upload_id, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "media_type": media_type}
    return answer(stored, 201)
