"""The ledger: the truth about every accepted job.

Promises: each method is one transaction, committed when it returns. `LedgerUnavailable` means that nothing is
known about the outcome of the call, so every method may be called again with the same arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from holdfast.domain.attempt import Ask, Attempt, Claim, Refusal, Ticket
from holdfast.domain.audit import AuditEntry
from holdfast.domain.dead_letter import Failure
from holdfast.domain.errors import StaleClaim
from holdfast.domain.job import Job, JobState
from holdfast.domain.settlement import Settlement


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs to list, newest first. `before` is the id after which the page starts."""

    tenant: str
    state: JobState | None = None
    kind: str | None = None
    tag: str | None = None
    before: UUID | None = None
    limit: int = 50


class Ledger(Protocol):
    """Jobs and their attempts."""

    async def accept(self, jobs: Sequence[Job]) -> list[Job]:
        """Insert the jobs, each with its outbox row when QUEUED; return, in order, the job that now owns each key.

        BLOCKED ones come, in their order, behind all that their lanes have; `Outbox.release` lets them begin.

        A returned job with another id than the given one was accepted earlier (or earlier in the same batch)
        under the same tenant and idempotency key. Nothing is written for it.
        """
        ...

    async def claim_all(self, asks: Sequence[Ask]) -> list[Claim | Refusal]:
        """Grant each attempt to its worker for its lease, under a new fencing token; answers in the order of the asks.

        Asks of one job in one call are answered one after the other, as if each had come by itself. Granted when the
        ticket's attempt is the job's next one and the job is QUEUED or WAITING; or RUNNING and either its lease has
        run out or the ticket is redelivered (then the old holder's token is void).
        """
        ...

    async def settle_all(self, outcomes: Sequence[tuple[Claim, Settlement]]) -> list[bool]:
        """Write each outcome, the outbox row of its envelope, and the job that follows up on it.

        False where the token is not current: nothing is written for that one.
        """
        ...

    async def claim(self, ticket: Ticket, worker: str, lease: timedelta) -> Claim | Refusal:
        """`claim_all` of one."""
        return (await self.claim_all([Ask(ticket, worker, lease)]))[0]

    async def settle(self, claim: Claim, settlement: Settlement) -> None:
        """`settle_all` of one; raise StaleClaim when its token is not current."""
        if not (await self.settle_all([(claim, settlement)]))[0]:
            raise StaleClaim(claim.job.id, claim.attempt)

    async def give_back(self, claim: Claim) -> None:
        """Return the attempt unspent (a worker is shutting down): the job is QUEUED again. Raise StaleClaim."""
        ...

    async def lapsed(self, claims: Sequence[Claim]) -> list[Claim]:
        """Those of the claims that can no longer settle: taken over, cancelled, buried."""
        ...

    async def bury(self, job_id: UUID, attempt: int, failure: Failure, follow_up: Job | None = None) -> bool:
        """End a job whose message the broker gave up on; whoever held a claim loses it. False when it has moved on.

        `follow_up` is accepted in the same transaction.
        """
        ...

    async def job(self, tenant: str, job_id: UUID) -> Job | None:
        """The job, or None when there is none or it is another tenant's."""
        ...

    async def any_job(self, job_id: UUID) -> Job | None:
        """The job of whatever tenant: for the platform itself, never for a caller."""
        ...

    async def owners(self, keys: Sequence[tuple[str, str]]) -> list[Job | None]:
        """The job that owns each idempotency key of a tenant, in order."""
        ...

    async def job_by_key(self, tenant: str, key: str) -> Job | None:
        """`owners` of one."""
        return (await self.owners([(tenant, key)]))[0]

    async def jobs(self, query: JobQuery) -> list[Job]:
        """At most `query.limit` jobs, newest id first."""
        ...

    async def attempts(self, job_id: UUID) -> list[Attempt]:
        """The attempts of a job, oldest first."""
        ...

    async def cancel(self, tenant: str | None, job_id: UUID, entry: AuditEntry | None = None) -> Job | None:
        """Cancel a job that has not ended; return the job as it now is, None when unknown.

        Without a tenant it may be anybody's, for an operator. The entry is committed if the cancellation takes place.

        A running attempt loses its claim: its effect may have happened or not, and its outcome is not recorded. An
        ended job is returned as it is, so the caller sees from the state whether the cancellation took place.
        """
        ...

    async def ping(self) -> None:
        """Raise LedgerUnavailable unless the ledger answers and its schema is the one this code expects."""
        ...
