"""The secrets that jobs in the ledger carry, for sealing them anew. Promises and errors are those of `ports.ledger`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID


@dataclass(frozen=True, slots=True)
class JobSecrets:
    """What of a job may be secret, as the ledger has it."""

    job_id: UUID
    kind: str
    payload: Mapping[str, Any]
    callback_secret: str | None


class JobSecretsStore(Protocol):
    """All jobs, ended ones too."""

    async def page(self, kinds: Sequence[str], after: UUID | None, limit: int) -> list[JobSecrets]:
        """Jobs of these kinds, and all that have a callback secret, by id, after the id."""
        ...

    async def keep(self, secrets: JobSecrets) -> None:
        """Put payload and callback secret in the place of those that the job had. A job that is gone is none."""
        ...
