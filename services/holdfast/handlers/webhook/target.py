"""Where a webhook goes when it is delivered: to an endpoint as it is by then, or where the payload itself says.

| the endpoint                         | the attempt                                                              |
|--------------------------------------|--------------------------------------------------------------------------|
| is enabled                           | is made, with its URL, headers and secrets of this moment                |
| is disabled, failing or gone         | is parked, unspent, until it is enabled; at the job's deadline it expires |
| does not want this type of event     | is not made: the job succeeded, and its result says `skipped`            |
| was deleted                          | is buried as `EndpointDeleted`                                           |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from holdfast.domain.attempt import Bury, Outcome, Park, Succeeded
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.domain.endpoint import EndpointState
from holdfast.handlers.webhook.payload import WebhookPayload
from holdfast.ports.handler import Context
from holdfast.ports.receivers import Delivery

LONGEST_PARK = timedelta(days=1)
"""A parked job is released when its endpoint is enabled; so often it looks by itself, in case nobody enables it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, and with what."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""
    secrets: tuple[str, ...] = field(repr=False)
    endpoint_id: UUID | None = None


async def aim(context: Context, payload: WebhookPayload) -> Target | Outcome:
    """The target of this delivery, or the outcome of an attempt that is not to be made."""
    own = {name.lower(): value for name, value in payload.headers.items()}
    if payload.url is not None:
        return Target(payload.url, own, tuple(payload.signing_secrets()))
    found = await context.receivers.receiver(context.tenant, payload.receiver_id)
    if found is None or found.endpoint.state is EndpointState.DELETED:
        message = f"endpoint {payload.endpoint_id} was deleted; nobody receives this webhook any more"
        return Bury(Failure(DeadReason.REJECTED, "EndpointDeleted", message))
    endpoint = found.endpoint
    if not endpoint.wants(payload.event_type):
        about = {"endpoint_id": str(endpoint.id), "event_type": payload.event_type}
        return Succeeded({"skipped": "the endpoint does not want this type of event", **about})
    if endpoint.state is not EndpointState.ENABLED:
        why = f"endpoint {endpoint.id} is {endpoint.state}: {endpoint.why}"
        return Park(LONGEST_PARK, why, parked_by=endpoint.id)
    headers = {name.lower(): value for name, value in found.headers.items()}
    return Target(endpoint.url, headers | own, found.secrets, endpoint.id)


async def tell(context: Context, target: Target, delivery: Delivery) -> None:
    """Note what became of the delivery, where an endpoint keeps account of it."""
    if target.endpoint_id is not None:
        await context.receivers.tell(target.endpoint_id, delivery)
