"""Move what the ledger keeps of secrets to the newest key, so that an older one can be taken away.

It also seals what lies in clear text: the secrets of jobs that were accepted before there was a vault. Row by row, each
in a transaction of its own: it may be stopped and run again, beside a running platform.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from holdfast.domain.endpoint import Endpoint
from holdfast.domain.errors import UnknownKind
from holdfast.engine.sealing import reseal, reseal_value, secret_fields
from holdfast.ports.endpoints import Endpoints
from holdfast.ports.handler import Kinds
from holdfast.ports.job_secrets import JobSecrets, JobSecretsStore
from holdfast.ports.vault import Vault

PAGE = 500
"""Jobs of one question."""


class Reseal:
    """Seals anew whatever is not under the newest key."""

    def __init__(self, jobs: JobSecretsStore, endpoints: Endpoints, kinds: Kinds, vault: Vault) -> None:
        self._jobs, self._endpoints, self._kinds, self._vault = jobs, endpoints, kinds, vault

    async def jobs(self) -> int:
        """All jobs; return how many had to be changed. Raise SecretUnreadable at one that no key opens."""
        kinds = [handler.kind for handler in self._kinds.all() if secret_fields(handler.Payload)]
        after: UUID | None = None
        changed = 0
        while page := await self._jobs.page(kinds, after, PAGE):
            for kept in page:
                changed += await self._job(kept)
            after = page[-1].job_id
        return changed

    async def endpoints(self) -> int:
        """All endpoints; return how many had to be changed. Raise SecretUnreadable at one that no key opens."""
        after: UUID | None = None
        changed = 0
        while page := await self._endpoints.of_all_tenants(after, PAGE):
            for kept in page:
                now = await self._endpoints.change(kept.id, self._resealed)
                changed += now is not None and now.version != kept.version
            after = page[-1].id
        return changed

    def _resealed(self, endpoint: Endpoint) -> Endpoint:
        secrets = tuple(replace(it, sealed=self._fresh(it.sealed)) for it in endpoint.secrets)
        headers = {name: self._fresh(value) for name, value in endpoint.headers.items()}
        return replace(endpoint, secrets=secrets, headers=headers)

    def _fresh(self, sealed: str) -> str:
        return reseal_value(self._vault, sealed) if self._vault.stale(sealed) else sealed

    async def _job(self, kept: JobSecrets) -> bool:
        try:
            payload = reseal(self._vault, self._kinds.get(kept.kind).Payload, kept.payload)
        except UnknownKind:
            payload = None
        secret = kept.callback_secret
        fresh = secret and self._fresh(secret)
        if payload is None and fresh == secret:
            return False
        await self._jobs.keep(replace(kept, payload=payload or kept.payload, callback_secret=fresh))
        return True
