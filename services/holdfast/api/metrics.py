"""`/metrics`, for Prometheus. Open like the health probes: it tells numbers, and nothing about any one job."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def metrics() -> Response:
    """Everything that this process counts."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
