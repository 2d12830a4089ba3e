"""Ask endpoints that were disabled for failing whether they are well again.

A probe is a webhook like any other, signed with the endpoint's secrets, of the type `holdfast.endpoint.probe`. A 2xx
enables the endpoint, and its parked jobs go on. Anything else makes the next wait twice as long. An endpoint that
answered 410, or that an operator disabled, is never asked.

A crash between the answer and the note of it asks again.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from holdfast import __version__
from holdfast.domain.endpoint import Endpoint, Patience
from holdfast.domain.errors import HandlerError
from holdfast.handlers.webhook.payload import WebhookPayload
from holdfast.handlers.webhook.signature import sign
from holdfast.ports.clock import Clock
from holdfast.ports.egress import Egress
from holdfast.ports.endpoints import Endpoints
from holdfast.ports.receivers import Receivers
from holdfast.ports.vault import SecretUnreadable

log = structlog.get_logger(__name__)

PROBE = "holdfast.endpoint.probe"
BATCH = 50
"""Endpoints asked at the same time."""
TIMEOUT = timedelta(seconds=10)
KEPT = 1024
"""Bytes of the answer that are read."""


class Probe:
    """Asks those whose time has come."""

    def __init__(
        self, endpoints: Endpoints, receivers: Receivers, egress: Egress, clock: Clock, patience: Patience
    ) -> None:
        self._endpoints, self._receivers, self._egress = endpoints, receivers, egress
        self._clock, self._patience = clock, patience

    async def turn(self) -> bool:
        """Ask a batch; True when there may be more."""
        due = await self._endpoints.to_probe(self._clock.now(), BATCH)
        await asyncio.gather(*map(self._probe, due))
        return len(due) == BATCH

    async def _probe(self, endpoint: Endpoint) -> None:
        answered = await self._ask(endpoint)
        after = await self._endpoints.change(
            endpoint.id, lambda it: it.probed(answered, self._clock.now(), self._patience)
        )
        log.info("endpoint_probed", endpoint_id=str(endpoint.id), answered=answered, state=after and after.state.value)

    async def _ask(self, endpoint: Endpoint) -> bool:
        try:
            receiver = await self._receivers.receiver(endpoint.tenant, endpoint.id)
            if receiver is None:
                return False
            now, message_id = self._clock.now(), f"msg_{self._clock.new_id().hex}"
            about = {"endpoint_id": str(endpoint.id)}
            body = WebhookPayload(url=endpoint.url, event_type=PROBE, body=about).content(now)
            headers = {name.lower(): value for name, value in receiver.headers.items()}
            signed = sign(message_id, now, body, receiver.secrets)
            ours = {"content-type": "application/json", "user-agent": f"Holdfast/{__version__}"}
            answer = await self._egress.post(endpoint.url, body, headers | ours | signed, limit=KEPT, timeout=TIMEOUT)
        except (HandlerError, SecretUnreadable) as error:
            log.info("endpoint_probe_failed", endpoint_id=str(endpoint.id), why=str(error))
            return False
        return 200 <= answer.status < 300
