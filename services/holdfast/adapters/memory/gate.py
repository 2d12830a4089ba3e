"""The idempotency gate in a dictionary; holds never expire here, because nothing crashes in between."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from holdfast.ports.gate import Answered, GateAnswer, Held, InFlight, Keyed, Known


class MemoryGate:
    """Implements `ports.gate.Gate`."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], tuple[bytes, UUID | None]] = {}

    async def hold(self, requests: Sequence[Keyed]) -> list[GateAnswer]:
        """Hold, or say who has it."""
        return list(map(self._hold, requests))

    async def remember(self, answers: Sequence[Answered]) -> None:
        """Overwrite the holds."""
        for request, job_id in answers:
            self._entries[request.tenant, request.key] = request.fingerprint, job_id

    async def release(self, requests: Sequence[Keyed]) -> None:
        """Delete the holds."""
        for request in requests:
            if self._entries.get((request.tenant, request.key)) == (request.fingerprint, None):
                del self._entries[request.tenant, request.key]

    async def ping(self) -> None:
        """Memory always answers."""

    def _hold(self, request: Keyed) -> GateAnswer:
        entry = self._entries.get((request.tenant, request.key))
        if entry is None:
            self._entries[request.tenant, request.key] = request.fingerprint, None
            return Held()
        seen, job_id = entry
        return Known(seen, job_id) if job_id else InFlight(seen, timedelta(seconds=1))
