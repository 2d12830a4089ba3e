"""The endpoints as deliveries see them: a copy that is a second old at most, and notes that are shared.

A delivery asks for its endpoint, which would be a round trip each time; so a process keeps what it read for a second.
What became of a delivery is noted only when it changes something: a failure, or a success after failures. Notes that
come while one is being written share the next one, so a receiver that fails a thousand times a second costs each
process one row at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import structlog

from holdfast.domain.endpoint import Endpoint, EndpointState, Patience
from holdfast.domain.errors import Unavailable
from holdfast.engine.group import Group
from holdfast.ports.clock import Clock
from holdfast.ports.endpoints import Endpoints
from holdfast.ports.receivers import Delivery, Receiver
from holdfast.ports.vault import Vault
from holdfast.telemetry.label_values import Shared

log = structlog.get_logger(__name__)

FRESH = 1.0
"""Seconds that a delivery may rely on what was read."""
KNOWN = 5.0
"""Seconds that a submit may: whether the endpoint exists decides nothing that the delivery does not decide again."""
LARGEST_CACHE = 10_000

Note = tuple[UUID, Delivery]


class EndpointReceivers:
    """Implements `ports.receivers.Receivers`; `monotonic` tells the time in seconds."""

    def __init__(
        self, endpoints: Endpoints, vault: Vault, clock: Clock, patience: Patience, monotonic: Callable[[], float]
    ) -> None:
        self._endpoints, self._vault, self._clock = endpoints, vault, clock
        self._patience, self._monotonic = patience, monotonic
        self._known: dict[UUID, tuple[Endpoint, float]] = {}
        self._note: Group[Note, None] = Group(self._write, Shared.DELIVERIES)

    async def exists(self, tenant: str, endpoint_id: UUID) -> bool:
        """An endpoint that is not known is looked up, so that a new one can be used at once."""
        endpoint = await self._endpoint(endpoint_id, KNOWN)
        return endpoint is not None and endpoint.tenant == tenant and endpoint.state is not EndpointState.DELETED

    async def receiver(self, tenant: str, endpoint_id: UUID) -> Receiver | None:
        """Open what is sealed, each time: the clear text is kept no longer than its delivery."""
        endpoint = await self._endpoint(endpoint_id, FRESH)
        if endpoint is None or endpoint.tenant != tenant:
            return None
        headers = {name: self._vault.open(value) for name, value in endpoint.headers.items()}
        secrets = tuple(self._vault.open(secret.sealed) for secret in endpoint.signing(self._clock.now()))
        return Receiver(endpoint, headers, secrets)

    async def tell(self, endpoint_id: UUID, delivery: Delivery) -> None:
        """Nothing is written about an endpoint that does well."""
        known = self._known.get(endpoint_id)
        if delivery is Delivery.TAKEN and known is not None and not known[0].failures:
            return
        try:
            await self._note((endpoint_id, delivery))
        except Unavailable as error:
            log.warning("delivery_not_noted", endpoint_id=str(endpoint_id), why=str(error))

    async def _endpoint(self, endpoint_id: UUID, fresh: float) -> Endpoint | None:
        known = self._known.get(endpoint_id)
        if known is not None and self._monotonic() - known[1] < fresh:
            return known[0]
        read = self._monotonic()
        endpoint = await self._endpoints.get(endpoint_id)
        if endpoint is not None:
            self._keep(endpoint, read)
        return endpoint

    def _keep(self, endpoint: Endpoint, read: float) -> None:
        if len(self._known) >= LARGEST_CACHE:
            self._known.clear()
        self._known[endpoint.id] = endpoint, read

    async def _write(self, notes: Sequence[Note]) -> Sequence[None]:
        for endpoint_id in dict.fromkeys(about for about, _ in notes):
            told = [delivery for about, delivery in notes if about == endpoint_id]
            read = self._monotonic()
            before = self._known.get(endpoint_id)
            after = await self._endpoints.change(endpoint_id, partial(self._after, told))
            if after is None:
                continue
            self._keep(after, read)
            if before is not None and before[0].state is not after.state:
                log.warning("endpoint_moved", endpoint_id=str(endpoint_id), state=after.state.value, why=after.why)
        return [None] * len(notes)

    def _after(self, told: Sequence[Delivery], endpoint: Endpoint) -> Endpoint:
        """What becomes of an endpoint after deliveries that ended at about the same time."""
        if Delivery.GONE in told:
            return endpoint.gone(self._clock.now())
        if Delivery.TAKEN in told:
            return endpoint.delivered()
        return endpoint.failed(len(told), self._clock.now(), self._patience)
