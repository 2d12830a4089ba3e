"""Take in what the broker dead-lettered: make the ledger agree, then file the letter.

Runs before the message is acknowledged, and may run again for the same message: burying a dead job and filing a
filed letter change nothing.

    how the message died        the job in the ledger        what happens
    rejected by a worker        DEAD already                 filed with the ledger's reason
    in any other way            its attempt crashed often    buried as poisoned, filed
    in any other way            not the job's fault          a new ticket, not filed
    not one of ours             unknown                      filed as unparseable

Who had claimed the job by the message has lost it with the message. But a message that comes a second time may have got
its new ticket the first time, and then somebody may run the job by that: who claimed it after the message had died
keeps it, and his lease says whether he lives. (That a message came before does not show: a quorum queue takes the
delivery count along into the dead-letter queue, so each one there is `redelivered`.)
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from holdfast.domain.callback import callback
from holdfast.domain.dead_letter import DeadLetter, DeadMessage, DeadReason, Failure
from holdfast.domain.job import Job, JobState, job_id
from holdfast.domain.topology import DELIVERY_LIMIT
from holdfast.engine.dispatch import Dispatch
from holdfast.ports.clock import Clock
from holdfast.ports.dead_letters import DeadLetters
from holdfast.ports.faults import NO_FAULTS, FaultPoint, Faults
from holdfast.ports.ledger import Ledger
from holdfast.ports.outbox import Outbox
from holdfast.telemetry import metrics, spans
from holdfast.telemetry.logs import about, of_job

log = structlog.get_logger(__name__)


class BuryDead:
    """Files dead messages."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        dead_letters: DeadLetters,
        dispatch: Dispatch,
        clock: Clock,
        faults: Faults = NO_FAULTS,
    ) -> None:
        self._ledger, self._outbox, self._dead_letters = ledger, outbox, dead_letters
        self._dispatch, self._clock, self._faults = dispatch, clock, faults

    async def bury(self, message: DeadMessage) -> None:
        """Return once the message may be acknowledged; raise LedgerUnavailable when it may not."""
        job = await self._ledger.any_job(message.job_id) if message.job_id else None
        with about(**(of_job(job) if job else {})), spans.archiving(message):
            await self._bury(message, job)

    async def _bury(self, message: DeadMessage, job: Job | None) -> None:
        if job is None or message.attempt is None:
            await self._file(message, None, UNPARSEABLE)
        elif job.attempt != message.attempt:
            log.info("dead_letter_outdated", attempt=message.attempt)
        elif job.state is JobState.DEAD:
            await self._file(message, job, job.failure or UNPARSEABLE)
        elif await self._crashes(job) > DELIVERY_LIMIT:
            told = callback(job, JobState.DEAD, None, POISONED, self._clock.new_id(), self._clock.now())
            if await self._ledger.bury(job.id, job.attempt, POISONED, told):
                metrics.ENDED.of(job.kind, DeadReason.POISONED).inc()
                if told is not None:
                    metrics.ACCEPTED.of(told.kind).inc()
                    log.info("job_accepted", **of_job(told), callback_of=str(job.id))
                self._faults.reach(FaultPoint.BURY_COMMITTED)
                await self._dispatch.advance(job.lane)
                await self._file(message, job, POISONED)
            else:  # it ended or moved on: this message is of no account any more
                log.info("dead_letter_outdated", attempt=message.attempt)
        else:
            await self._reissue(job, message)

    async def _crashes(self, job: Job) -> int:
        attempts = {attempt.number: attempt.deliveries for attempt in await self._ledger.attempts(job.id)}
        return attempts.get(job.attempt, 0)

    async def _reissue(self, job: Job, message: DeadMessage) -> None:
        """The broker gave up on a job that did nothing wrong, so it gets another ticket."""
        died = _died(message)
        ticket = await self._outbox.reissue(job.id, job.attempt, lost_by=died and died + WHOLE_SECOND)
        if ticket is None:
            log.info("dead_letter_outdated", attempt=message.attempt, death=message.death)
        else:
            log.warning("ticket_reissued", death=message.death)
            metrics.TICKETS_REISSUED.of().inc()
            self._faults.reach(FaultPoint.REISSUE_COMMITTED)
            await self._dispatch.send(ticket)

    async def _file(self, message: DeadMessage, job: Job | None, failure: Failure) -> None:
        letter = DeadLetter(
            id=_own_id(message) or self._clock.new_id(),
            job_id=job.id if job else message.job_id,
            attempt=message.attempt,
            tenant=job.tenant if job else None,
            kind=job.kind if job else None,
            reason=failure.reason or DeadReason.UNPARSEABLE,
            error=failure.error,
            message=failure.message,
            attempts=job.attempt - job.spent_before if job else 0,
            headers=message.headers,
            body=message.body,
            died_at=(job.finished_at if job else None) or self._clock.now(),
        )
        await self._dead_letters.archive([letter])
        metrics.LETTERS_FILED.of(letter.reason).inc()
        log.warning("dead_letter_filed", job_id=str(letter.job_id), reason=letter.reason.value, error=letter.error)


WHOLE_SECOND = timedelta(seconds=1)
"""RabbitMQ says when a message died in whole seconds."""
REDELIVERY = {"x-delivery-count", "x-acquired-count"}
"""Headers that differ between two deliveries of one message."""


def _died(message: DeadMessage) -> datetime | None:
    """When the broker dead-lettered it last, by its clock in whole seconds; None if it does not say."""
    deaths = message.headers.get("x-death")
    if not isinstance(deaths, list) or not deaths or not isinstance(deaths[0], dict):
        return None
    try:
        return datetime.fromisoformat(str(deaths[0].get("time"))).replace(tzinfo=UTC)
    except ValueError:
        return None


def _own_id(message: DeadMessage) -> UUID | None:
    """The id of a letter about a message that names no job: the same when it is delivered again.

    Made of the second in which it died and of all that it holds. None when it names a job, whose attempt tells it
    apart, or was not dead-lettered but published here, so that nothing says when it died.
    """
    died = _died(message)
    if message.job_id is not None or died is None:
        return None
    lasting = sorted((name, repr(value)) for name, value in message.headers.items() if name not in REDELIVERY)
    digest = hashlib.sha256(message.body + repr(lasting).encode("utf-8", "replace")).digest()
    return job_id(int(died.timestamp() * 1000), digest)


POISONED = Failure(
    DeadReason.POISONED,
    "Poisoned",
    f"the job crashed its worker {DELIVERY_LIMIT + 1} times in one attempt, so it was taken out; "
    "see the worker's log for how its process died, then replay it",
)
UNPARSEABLE = Failure(
    DeadReason.UNPARSEABLE,
    "Unparseable",
    "the message is no ticket of a job that the ledger knows; its headers and body are kept here",
)
