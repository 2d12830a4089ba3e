"""Run the handler of a claimed attempt, and turn whatever comes out of it into an outcome.

Invariant: an outcome comes back within the kind's time limit, whatever the handler returns or raises. Nothing here
writes to the ledger.
"""

from __future__ import annotations

import asyncio
import traceback
from datetime import timedelta
from uuid import UUID

import structlog
from pydantic import BaseModel, ValidationError

from holdfast.domain.attempt import Bury, Claim, Outcome, Park, Retry
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.domain.errors import Rejected, TryLater, Unavailable, UnknownKind
from holdfast.engine.results import artifacts_of, sound, with_artifacts
from holdfast.engine.sealing import unseal
from holdfast.engine.submit import payload_problems
from holdfast.ports.artifacts import Artifact, Artifacts
from holdfast.ports.browser import Browser
from holdfast.ports.downstreams import Downstreams, NotNow
from holdfast.ports.egress import Egress
from holdfast.ports.handler import Context, Handler, Kinds
from holdfast.ports.isolation import Isolation
from holdfast.ports.ledger import Ledger
from holdfast.ports.limits import Limits
from holdfast.ports.receivers import NO_RECEIVERS, Receivers
from holdfast.ports.vault import SecretUnreadable, Vault

log = structlog.get_logger(__name__)

UNAVAILABLE_PAUSE = timedelta(seconds=2)
"""How long a job is parked when the artifact store or the ledger does not answer its handler."""


class RunHandler:
    """Gives handlers their ways to the outside."""

    def __init__(
        self,
        kinds: Kinds,
        ledger: Ledger,
        artifacts: Artifacts,
        egress: Egress,
        isolation: Isolation,
        downstreams: Downstreams,
        limits: Limits,
        vault: Vault,
        browser: Browser | None = None,
        receivers: Receivers = NO_RECEIVERS,
    ) -> None:
        self._kinds, self._ledger, self._artifacts = kinds, ledger, artifacts
        self._egress, self._isolation, self._downstreams = egress, isolation, downstreams
        self._limits, self._vault, self._browser, self._receivers = limits, vault, browser, receivers
        self.busy = 0
        """Attempts that are under way."""

    async def run(self, claim: Claim) -> Outcome:
        """Run the handler of a claimed attempt. Only a cancellation from outside is raised."""
        job = claim.job
        if job.deadline is not None and job.started_at is not None and job.deadline <= job.started_at:
            late = f"the job had not started by its deadline, {job.deadline.isoformat()}"
            return Bury(Failure(DeadReason.EXPIRED, "Expired", late))
        self.busy += 1
        try:
            handler = self._kinds.get(job.kind)
            return await self._handle(handler, claim)
        except NotNow as error:
            log.info("attempt_parked", downstream=error.name, reason=error.reason, wait=error.wait.total_seconds())
            return Park(error.wait, str(error))
        except UnknownKind as error:
            advice = f"{error}; install its package in this worker's image"
            return Retry(Failure(None, "UnknownKind", advice))
        except SecretUnreadable as error:
            return Retry(Failure(None, "SecretUnreadable", str(error)))
        except Unavailable as error:  # one of our own dependencies: not the job's fault
            log.warning("attempt_parked", why=str(error))
            return Park(UNAVAILABLE_PAUSE, str(error))
        except Rejected as error:
            return Bury(Failure(DeadReason.REJECTED, error.error, str(error)))
        except TryLater as error:
            return Retry(Failure(None, error.error, str(error)), error.after)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _cancelled():
                raise
            log.exception("handler_failed")
            message = f"the handler of {job.kind} failed unexpectedly: {type(error).__name__}: {error}"
            return Retry(Failure(None, type(error).__name__, message, traceback.format_exc(limit=-20)))
        finally:
            self.busy -= 1

    async def _handle(self, handler: Handler, claim: Claim) -> Outcome:
        payload = self._payload(handler, claim)
        context = self._context(claim)
        limit = handler.time_limit.total_seconds()
        try:
            async with asyncio.timeout(limit) as timer:
                return with_artifacts(sound(await handler.run(context, payload)), context.saved)
        except TimeoutError:
            if not timer.expired():  # the handler's own, not ours
                raise
            return Retry(Failure(DeadReason.TIMED_OUT, "TimedOut", f"the attempt ran past its limit of {limit:g} s"))

    def _context(self, claim: Claim) -> Context:
        job = claim.job

        async def find(job_id: UUID, name: str) -> Artifact:
            return await self._find(job.tenant, job_id, name)

        return Context(
            job_id=job.id,
            tenant=job.tenant,
            kind=job.kind,
            attempt=claim.attempt,
            idempotency_key=job.idempotency_key,
            created_at=job.created_at,
            token=claim.token,
            artifacts=self._artifacts,
            egress=self._egress,
            isolation=self._isolation,
            downstreams=self._downstreams,
            limits=self._limits,
            find=find,
            browser=self._browser,
            receivers=self._receivers,
        )

    def _payload(self, handler: Handler, claim: Claim) -> BaseModel:
        """The payload with its secrets, checked again: the schema may be newer than the job."""
        try:
            return handler.Payload.model_validate(unseal(self._vault, handler.Payload, claim.job.payload))
        except ValidationError as error:
            problems = "; ".join(f"{pointer}: {message}" for pointer, message in payload_problems(error))
            raise Rejected(f"the payload does not fit its kind: {problems}", error="InvalidPayload") from None

    async def _find(self, tenant: str, job_id: UUID, name: str) -> Artifact:
        job = await self._ledger.job(tenant, job_id)
        for artifact in artifacts_of(job.result if job else None):
            if artifact.name == name:
                return artifact
        raise Rejected(
            f"job {job_id} has no artifact {name!r}; give the id of a job that succeeded and a name from its result",
            error="ArtifactNotFound",
        )


def _cancelled() -> bool:
    """Whether it is this task that somebody cancelled, and not one that the handler awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
