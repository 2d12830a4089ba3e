"""The idempotency gate in a dictionary; holds never expire here, because nothing crashes in between."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from holdfast.ports.gate import GateAnswer, Held, InFlight, Known


class MemoryGate:
    """Implements `ports.gate.Gate`."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], tuple[bytes, UUID | None]] = {}

    async def hold(self, tenant: str, key: str, fingerprint: bytes) -> GateAnswer:
        """Hold, or say who has it."""
        entry = self._entries.get((tenant, key))
        if entry is None:
            self._entries[tenant, key] = fingerprint, None
            return Held()
        seen, job_id = entry
        return Known(seen, job_id) if job_id else InFlight(seen, timedelta(seconds=1))

    async def remember(self, tenant: str, key: str, fingerprint: bytes, job_id: UUID) -> None:
        """Overwrite the hold."""
        self._entries[tenant, key] = fingerprint, job_id

    async def release(self, tenant: str, key: str, fingerprint: bytes) -> None:
        """Delete the hold."""
        if self._entries.get((tenant, key)) == (fingerprint, None):
            del self._entries[tenant, key]

    async def ping(self) -> None:
        """Memory always answers."""
