"""The JSON of webhook endpoints: how one is made and changed, and what is shown of it, which is nothing secret."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from holdfast.api.schemas import WEBHOOK_SECRET, Reason
from holdfast.domain.endpoint import Endpoint, EndpointState
from holdfast.handlers.webhook.payload import Headers, WebhookUrl

DAY = timedelta(days=1)
LONGEST_OVERLAP = timedelta(days=30)
MOST_PARKED = 10_000
"""Parked jobs are counted up to here."""
EXAMPLE: JsonDict = {
    "url": "https://hooks.example.com/orders",
    "description": "The shop's orders",
    "event_types": ["order.paid", "order.refund.*"],
    "headers": {"X-Shop": "harbour"},
}

Secret = Annotated[
    str, StringConstraints(pattern=WEBHOOK_SECRET), Field(description="One of your own; a new one without it.")
]
EventPattern = Annotated[str, StringConstraints(pattern=r"^\w+(\.\w+)*(\.\*)?$", max_length=128)]
EventTypes = Annotated[
    list[EventPattern],
    Field(
        max_length=100, description="Deliver only these types; `order.*` stands for all below `order`. All if empty."
    ),
]
Description = Annotated[str, Field(max_length=500)]


class EndpointIn(BaseModel):
    """A new endpoint."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, json_schema_extra={"examples": [EXAMPLE]})

    url: WebhookUrl
    description: Description = ""
    event_types: EventTypes = []
    headers: Annotated[Headers, Field(description="Sent with every webhook; shown by name only.")] = {}
    secret: Secret | None = None
    reason: Reason | None = None


class EndpointChangeIn(BaseModel):
    """What to change; what is left out stays. `event_types` and `headers` are replaced as a whole."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, json_schema_extra={"examples": [
        {"url": "https://hooks.example.com/v2/orders", "reason": "moved"}
    ]})  # fmt: skip

    url: WebhookUrl | None = None
    description: Description | None = None
    event_types: EventTypes | None = None
    headers: Headers | None = None
    reason: Reason | None = None


class RotateIn(BaseModel):
    """A new secret. Those before it go on signing for a while, so that the receiver can follow."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    secret: Secret | None = None
    overlap_seconds: Annotated[
        float,
        Field(ge=0, le=LONGEST_OVERLAP.total_seconds(), description="How long both sign; 0 after a leak."),
    ] = DAY.total_seconds()
    reason: Reason | None = None


class WhyIn(BaseModel):
    """Why; kept in the audit trail."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason | None = None


class SecretOut(BaseModel):
    """A secret that signs, without the secret."""

    created_at: datetime
    expires_at: datetime | None


class EndpointOut(BaseModel):
    """An endpoint. `why` says why it is not enabled."""

    id: UUID
    url: str
    description: str
    event_types: list[str]
    header_names: list[str]
    state: EndpointState
    since: datetime
    why: str | None
    failures: Annotated[int, Field(description="Attempts that have failed since the last success.")]
    failing_since: datetime | None
    next_probe_at: datetime | None
    secrets: list[SecretOut]
    created_at: datetime


class EndpointDetailsOut(EndpointOut):
    """An endpoint with the jobs that wait for it."""

    parked_jobs: Annotated[int, Field(description=f"Counted up to {MOST_PARKED}.")]


class NewSecretOut(EndpointOut):
    """An endpoint with its new secret, which is not shown again."""

    secret: str


class EndpointsOut(BaseModel):
    """A page of endpoints, newest first."""

    endpoints: list[EndpointOut]
    next_cursor: str | None


def endpoint_out(endpoint: Endpoint, now: datetime) -> dict[str, Any]:
    """An endpoint's answer."""
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description,
        "event_types": list(endpoint.event_types),
        "header_names": sorted(endpoint.headers),
        "state": endpoint.state,
        "since": endpoint.since,
        "why": endpoint.why,
        "failures": endpoint.failures,
        "failing_since": endpoint.failing_since,
        "next_probe_at": endpoint.probe_at,
        "secrets": [{"created_at": it.created_at, "expires_at": it.expires_at} for it in endpoint.signing(now)],
        "created_at": endpoint.created_at,
    }
