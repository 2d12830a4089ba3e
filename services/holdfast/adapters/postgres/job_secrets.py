"""The secrets of jobs in PostgreSQL. A job's payload never changes otherwise, so nobody writes beside this."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from holdfast.adapters.postgres import rows
from holdfast.adapters.postgres.database import Database
from holdfast.ports.job_secrets import JobSecrets

PAGE = """
SELECT id, kind, payload, callback_secret FROM jobs
WHERE (kind = ANY($1::text[]) OR callback_secret IS NOT NULL) AND ($2::uuid IS NULL OR id > $2)
ORDER BY id LIMIT $3
"""


class PostgresJobSecrets:
    """Implements `ports.job_secrets.JobSecretsStore`."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def page(self, kinds: Sequence[str], after: UUID | None, limit: int) -> list[JobSecrets]:
        """By id, which is the primary key."""
        found = await self._db.all(PAGE, list(kinds), after, limit)
        return [JobSecrets(UUID(str(row.id)), row.kind, row.payload, row.callback_secret) for row in found]

    async def keep(self, secrets: JobSecrets) -> None:
        """One row."""
        await self._db.all(
            "UPDATE jobs SET payload = $2::json, callback_secret = $3 WHERE id = $1",
            secrets.job_id,
            rows.dump(secrets.payload),
            secrets.callback_secret,
        )
