"""Run one ticket: claim the attempt, run its handler, settle the outcome.

Ledger first, then broker, then ack; each crash point is harmless:

    crash after …      what happens
    claim              the message is redelivered; the new claim voids the old token
    the effect         the same: the handler runs again. Handlers keep their effect idempotent by the job's key
    settle             the redelivered ticket is refused as settled; the outbox sends what was to follow
    publish            the same; the second copy is refused by the claim
    ack                nothing is left to happen
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto
from itertools import repeat
from typing import Any, TypeVar

import structlog

from holdfast.domain.attempt import Ask, Claim, Outcome, Refusal, Ticket
from holdfast.domain.backoff import RetryPolicy
from holdfast.domain.callback import callback
from holdfast.domain.envelope import NO_HINTS, Envelope, Hints, first_ticket
from holdfast.domain.errors import LedgerUnavailable, StaleClaim, UnknownKind
from holdfast.domain.job import ENDED, JobState
from holdfast.domain.settlement import Settlement, decide
from holdfast.engine.dispatch import Dispatch
from holdfast.engine.group import Group
from holdfast.engine.run import RunHandler
from holdfast.engine.vigil import Vigil
from holdfast.ports.clock import Clock
from holdfast.ports.faults import NO_FAULTS, FaultPoint, Faults
from holdfast.ports.handler import DEFAULT_POLICY, Kinds
from holdfast.ports.ledger import Ledger
from holdfast.telemetry import metrics, spans
from holdfast.telemetry.label_values import AttemptEnd, Shared, job_outcome
from holdfast.telemetry.logs import about, fields, of_job

log = structlog.get_logger(__name__)

T = TypeVar("T")

PATIENCE = timedelta(seconds=60)
"""How long a finished attempt waits for the ledger to take its outcome before it gives the ticket back."""
PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Seconds between two looks whether the ledger is back; the last one repeats."""


class Disposition(Enum):
    """What to do with the message now."""

    ACK = auto()
    """It has done its work, or there was none left."""
    DEAD_LETTER = auto()
    """The job is dead: reject without requeue, so that the broker dead-letters it."""
    GIVE_BACK = auto()
    """Not now: return it to its queue without spending a delivery."""


class Execute:
    """The worker's half of the engine."""

    def __init__(
        self,
        ledger: Ledger,
        dispatch: Dispatch,
        kinds: Kinds,
        run: RunHandler,
        clock: Clock,
        *,
        worker: str,
        lease_margin: timedelta,
        faults: Faults = NO_FAULTS,
    ) -> None:
        self._ledger, self._dispatch, self._kinds = ledger, dispatch, kinds
        self._run, self._clock = run, clock
        self._worker, self._lease_margin, self._faults = worker, lease_margin, faults
        self._claim: Group[Ask, Claim | Refusal] = Group(ledger.claim_all, Shared.CLAIM)
        self._record: Group[tuple[Claim, Settlement], bool] = Group(ledger.settle_all, Shared.SETTLE)
        self._limits = {handler.kind: handler.time_limit for handler in kinds.all()}
        self._vigil = Vigil(ledger)
        self._busy = metrics.WORKER_BUSY.of()

    async def execute(self, ticket: Ticket, hints: Hints = NO_HINTS) -> Disposition:
        """Run the attempt that the ticket names."""
        told = fields(ticket.job_id, ticket.attempt, hints.kind, hints.idempotency_key, hints.traceparent)
        with about(**told):
            try:
                claim = await self._claim(Ask(ticket, self._worker, self._lease(hints.kind)))
            except LedgerUnavailable as error:
                return await self._wait_for_ledger(error)
            match claim:
                case Refusal():
                    metrics.TICKETS_REFUSED.of(claim).inc()
                    log.info("ticket_refused", why=claim.value)
                    return Disposition.DEAD_LETTER if claim.dead else Disposition.ACK
                case Claim():
                    self._count_claim(claim, ticket, hints)
                    with about(**of_job(claim.job)), spans.processing(claim, hints, self._clock.now()):
                        return await self._attempt(claim)

    def _count_claim(self, claim: Claim, ticket: Ticket, hints: Hints) -> None:
        metrics.ATTEMPTS_STARTED.of(claim.job.kind).inc()
        if hints.ready_at is not None and not ticket.redelivered:
            waited = (self._clock.now() - hints.ready_at).total_seconds()
            metrics.QUEUE_WAIT.of(claim.job.kind).observe(max(0.0, waited))  # two machines' clocks may differ

    async def _attempt(self, claim: Claim) -> Disposition:
        log.info("attempt_started", priority=claim.job.priority)
        self._faults.reach(FaultPoint.EXECUTE_CLAIMED)
        try:
            with self._vigil.over(claim), self._busy.track_inprogress(), metrics.RUN.of(claim.job.kind).time():
                outcome = await self._run.run(claim)
        except asyncio.CancelledError:
            if self._vigil.take_voided(claim):
                return await self._superseded(claim)
            return await self._give_back(claim)
        self._faults.reach(FaultPoint.EXECUTE_RAN)
        return await _to_the_end(self._settle(claim, outcome))

    async def _settle(self, claim: Claim, outcome: Outcome) -> Disposition:
        settlement = self._decide(claim, outcome)
        try:
            if not await self._write(claim, settlement):
                return await self._superseded(claim)
        except LedgerUnavailable as error:
            metrics.ATTEMPTS.of(claim.job.kind, AttemptEnd.RETURNED).inc()
            return await self._wait_for_ledger(error)
        self._count_settled(claim, settlement)
        log.info(
            "attempt_settled",
            outcome=type(outcome).__name__.lower(),
            state=settlement.job_state.value,
            error=settlement.failure and settlement.failure.error,
        )
        self._faults.reach(FaultPoint.EXECUTE_SETTLED)
        await self._dispatch.send_all(list(self._tickets(settlement)))
        if settlement.job_state in ENDED:
            await self._dispatch.advance(claim.job.lane)
        self._faults.reach(FaultPoint.EXECUTE_PUBLISHED)
        return Disposition.DEAD_LETTER if settlement.dead else Disposition.ACK

    def _count_settled(self, claim: Claim, settlement: Settlement) -> None:
        kind = claim.job.kind
        end = _end_of(settlement)
        metrics.ATTEMPTS.of(kind, end).inc()
        spans.settled(end, settlement.failure)
        if settlement.job_state in ENDED:
            metrics.ENDED.of(kind, job_outcome(settlement.job_state, settlement.failure)).inc()
            metrics.END_TO_END.of(kind).observe((self._clock.now() - claim.job.created_at).total_seconds())
        if settlement.follow_up is not None:
            metrics.ACCEPTED.of(settlement.follow_up.kind).inc()
            log.info("job_accepted", **of_job(settlement.follow_up), callback_of=str(claim.job.id))

    def _decide(self, claim: Claim, outcome: Outcome) -> Settlement:
        now = self._clock.now()
        settlement = decide(claim, outcome, self._policy(claim.job.kind), now, self._clock.draw())
        if settlement.job_state not in ENDED or claim.job.callback_url is None:
            return settlement
        told = callback(
            claim.job, settlement.job_state, settlement.result, settlement.failure, self._clock.new_id(), now
        )
        return replace(settlement, follow_up=told)

    def _tickets(self, settlement: Settlement) -> Iterator[Envelope]:
        """What to publish after the settlement: at most one of each."""
        if settlement.envelope is not None:
            yield settlement.envelope
        if settlement.follow_up is not None:
            yield first_ticket(settlement.follow_up, self._clock.now())

    async def _write(self, claim: Claim, settlement: Settlement) -> bool:
        """Settle; False when the claim is stale.

        The effect has happened and must be recorded, so a ledger that is away is waited for within PATIENCE.
        """
        waited = 0.0
        for pause in _pauses():
            try:
                return await self._record((claim, settlement))
            except LedgerUnavailable:
                if waited >= PATIENCE.total_seconds():
                    raise
            await asyncio.sleep(pause)
            waited += pause
        raise AssertionError("the pauses have no end")

    async def _superseded(self, claim: Claim) -> Disposition:
        """The token is void: somebody took over, or our own settle had been committed though its answer was lost."""
        metrics.ATTEMPTS.of(claim.job.kind, AttemptEnd.SUPERSEDED).inc()
        log.warning("claim_superseded", token=claim.token)
        try:
            job = await self._ledger.any_job(claim.job.id)
        except LedgerUnavailable as error:
            return await self._wait_for_ledger(error)
        died = job is not None and job.state is JobState.DEAD and job.attempt == claim.attempt
        return Disposition.DEAD_LETTER if died else Disposition.ACK

    async def _give_back(self, claim: Claim) -> Disposition:
        """The worker is stopping: the attempt goes back unspent."""
        metrics.ATTEMPTS.of(claim.job.kind, AttemptEnd.RETURNED).inc()
        try:
            await self._ledger.give_back(claim)
            log.info("attempt_returned")
        except (StaleClaim, LedgerUnavailable) as error:
            log.warning("attempt_returned_unrecorded", why=str(error))  # the redelivery takes the claim over
        return Disposition.GIVE_BACK

    async def _wait_for_ledger(self, error: LedgerUnavailable) -> Disposition:
        """Hold this slot until the ledger answers: without it no ticket can be worked on, and a requeue would spin."""
        log.warning("ledger_unavailable", why=str(error))
        waited = 0.0
        for pause in _pauses():
            await asyncio.sleep(pause)
            waited += pause
            try:
                await self._ledger.ping()
                break
            except LedgerUnavailable:
                if waited >= PATIENCE.total_seconds():
                    break
        return Disposition.GIVE_BACK

    def _lease(self, kind: str | None) -> timedelta:
        """The time limit of the kind, or the longest there is when it is not known here, and the margin."""
        return self._limits.get(kind or "", max(self._limits.values())) + self._lease_margin

    def _policy(self, kind: str) -> RetryPolicy:
        try:
            return self._kinds.get(kind).policy
        except UnknownKind:
            return DEFAULT_POLICY


def _end_of(settlement: Settlement) -> AttemptEnd:
    if settlement.job_state in ENDED:
        return AttemptEnd.BURIED if settlement.dead else AttemptEnd.SUCCEEDED
    return AttemptEnd.PARKED if settlement.unspent else AttemptEnd.RETRIED


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` even when this task is cancelled (the worker stops): an effect that happened must be recorded."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()


def _pauses() -> Iterator[float]:
    yield from PAUSES
    yield from repeat(PAUSES[-1])
