"""Accept a job: see that there is room, validate, ask the gate, commit, publish.

Invariants. 202 is answered only after the commit of the job and its outbox row. One key makes one job: the
ledger's UNIQUE decides, and the gate only answers sooner. What is refused for want of room was not looked at: a
repetition of an accepted request is refused like any other, and answered when it is sent again.

    crash after …      what happens
    hold               the hold expires within seconds; nothing was accepted, nothing was promised
    commit             the steward publishes the outbox row; a retried request finds the job by its key
    publish            the same; the second copy of the ticket is refused by the claim

A job of a lane is committed as BLOCKED, without a ticket. `Dispatch.advance` lets it begin or, after a crash, the
steward.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog
from pydantic import BaseModel, ValidationError
from structlog.contextvars import bind_contextvars, reset_contextvars

from holdfast.domain.envelope import first_ticket
from holdfast.domain.errors import IdempotencyMismatch, InvalidField, RedisUnavailable, RequestInFlight, UnknownKind
from holdfast.domain.job import Job, JobState
from holdfast.domain.lane import lane
from holdfast.domain.refusal import refused_for
from holdfast.domain.request import JobRequest
from holdfast.engine.admission import Admission
from holdfast.engine.dispatch import Dispatch
from holdfast.engine.group import Group
from holdfast.engine.sealing import seal, unseal
from holdfast.ports.clock import Clock
from holdfast.ports.faults import NO_FAULTS, FaultPoint, Faults
from holdfast.ports.gate import Answered, Gate, GateAnswer, Held, InFlight, Keyed, Known
from holdfast.ports.handler import Addressed, Handler, Kinds, Ordered
from holdfast.ports.ledger import Ledger
from holdfast.ports.receivers import NO_RECEIVERS, Receivers
from holdfast.ports.vault import SecretUnreadable, Vault
from holdfast.telemetry import metrics
from holdfast.telemetry.label_values import GateSaid, Shared
from holdfast.telemetry.logs import of_job

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Submission:
    """The job that answers a request; `replayed` when an earlier request with the same key had made it."""

    job: Job
    replayed: bool


class Submit:
    """The enqueue path."""

    def __init__(
        self,
        ledger: Ledger,
        gate: Gate,
        dispatch: Dispatch,
        kinds: Kinds,
        clock: Clock,
        vault: Vault,
        admission: Admission | None = None,
        faults: Faults = NO_FAULTS,
        offers: Mapping[str, Any] | None = None,
        receivers: Receivers = NO_RECEIVERS,
    ) -> None:
        """`offers` is what payloads are validated against besides themselves: what this installation has."""
        self._offers = offers
        self._ledger, self._gate, self._dispatch, self._kinds, self._clock = ledger, gate, dispatch, kinds, clock
        self._vault, self._admission, self._faults, self._receivers = vault, admission, faults, receivers
        self._accept: Group[Job, Job] = Group(ledger.accept, Shared.ACCEPT)
        self._hold: Group[Keyed, GateAnswer] = Group(gate.hold, Shared.HOLD)
        self._remember: Group[Answered, None] = Group(self._remembered, Shared.REMEMBER)

    async def submit(self, request: JobRequest) -> Submission:
        """Accept the request, or return what an earlier one with its key became.

        Raises UnknownKind, InvalidField, IdempotencyMismatch, RequestInFlight, LedgerUnavailable, OutboxFull,
        BacklogFull.
        """
        metrics.SUBMITTED.of(request.kind).inc()
        try:
            submission = await self._submit(request)
        except BaseException as error:
            metrics.REFUSED.of(request.kind, refused_for(error)).inc()
            raise
        (metrics.DEDUPLICATED if submission.replayed else metrics.ACCEPTED).of(request.kind).inc()
        return submission

    async def _submit(self, request: JobRequest) -> Submission:
        handler, now = self._kinds.get(request.kind), self._clock.now()
        if self._admission is not None:
            self._admission.check(request, handler.queue, now)
        payload = validate(handler, request, self._offers)
        lane = _lane(request, payload)
        job = self._sealed(handler, request.job(self._clock.new_id(), handler.queue, now, lane))
        bound = bind_contextvars(**of_job(job))
        try:
            submission = await self._decide(request, job, payload)
            owner = submission.job
            event = "job_deduplicated" if submission.replayed else "job_accepted"
            log.info(event, job_id=str(owner.id), attempt=owner.attempt, state=owner.state.value)
        finally:
            reset_contextvars(**bound)
        return submission

    async def _decide(self, request: JobRequest, job: Job, payload: BaseModel) -> Submission:
        if request.key is None:
            await self._check_endpoint(job.tenant, payload)
            return await self._commit(request, job)
        seen = await self._ask_gate(request, job)
        return seen or await self._commit_held(request, job, payload)

    def _sealed(self, handler: Handler, job: Job) -> Job:
        """The job without secrets in clear text. Its fingerprint is of the request as it came."""
        payload = seal(self._vault, handler.Payload, job.payload)
        secret = job.callback_secret and self._vault.seal(job.callback_secret)
        if payload is job.payload and secret is None:
            return job
        return replace(job, payload=payload, callback_secret=secret)

    async def _ask_gate(self, request: JobRequest, job: Job) -> Submission | None:
        """The answer of an earlier request, or None when this one is the first (or the gate cannot tell)."""
        try:
            answer = await self._hold(_keyed(job))
        except RedisUnavailable as error:
            metrics.GATE_ANSWERS.of(GateSaid.UNAVAILABLE).inc()
            log.warning("gate_unavailable", why=str(error))
            return None
        match answer:
            case Held():
                metrics.GATE_ANSWERS.of(GateSaid.HELD).inc()
                self._faults.reach(FaultPoint.SUBMIT_HELD)
                return None
            case InFlight(seen, retry_after):
                metrics.GATE_ANSWERS.of(GateSaid.IN_FLIGHT).inc()
                if seen != job.fingerprint:
                    raise IdempotencyMismatch(job.idempotency_key, [])
                raise RequestInFlight(job.idempotency_key, retry_after)
            case Known():
                metrics.GATE_ANSWERS.of(GateSaid.KNOWN).inc()
                owner = await self._ledger.job_by_key(job.tenant, job.idempotency_key)
                return self._replay(request, job, owner) if owner else None

    async def _check_endpoint(self, tenant: str, payload: BaseModel) -> None:
        """Only for a request that no earlier one has answered: what was accepted stays accepted."""
        named = getattr(payload, "endpoint_id", None)  # asked first: whether it is a protocol's takes far longer
        if named is not None and isinstance(payload, Addressed) and not await self._receivers.exists(tenant, named):
            advice = f"there is no endpoint {named}; `GET /v1/endpoints` lists yours"
            raise InvalidField([("/payload/endpoint_id", advice)])

    async def _commit_held(self, request: JobRequest, job: Job, payload: BaseModel) -> Submission:
        try:
            await self._check_endpoint(job.tenant, payload)
            submission = await self._commit(request, job)
        except BaseException:
            await self._tell_gate(self._gate.release(_keyed(job)))
            raise
        await self._tell_gate(self._remember(Answered(_keyed(submission.job), submission.job.id)))
        self._faults.reach(FaultPoint.SUBMIT_REMEMBERED)
        return submission

    async def _commit(self, request: JobRequest, job: Job) -> Submission:
        owner = await self._accept(job)
        if owner.id != job.id:
            return self._replay(request, job, owner)
        self._faults.reach(FaultPoint.SUBMIT_COMMITTED)
        if owner.lane is not None:
            begun = await self._dispatch.advance(owner.lane)
            owner = owner.move(JobState.QUEUED, due_at=None) if owner.id in {it.job_id for it in begun} else owner
        elif owner.state is JobState.QUEUED:
            await self._dispatch.send(first_ticket(owner, self._clock.now()))
        return Submission(owner, replayed=False)

    def _replay(self, request: JobRequest, job: Job, owner: Job) -> Submission:
        if owner.fingerprint != job.fingerprint:
            raise IdempotencyMismatch(owner.idempotency_key, request.differs_from(self._opened(owner)))
        return Submission(owner, replayed=True)

    def _opened(self, job: Job) -> Job:
        """The job as it was asked for, so that a request can be compared with it."""
        try:
            payload = unseal(self._vault, self._kinds.get(job.kind).Payload, job.payload)
            secret = job.callback_secret and self._vault.open(job.callback_secret)
        except (UnknownKind, SecretUnreadable):
            return job
        return replace(job, payload=payload, callback_secret=secret)

    async def _remembered(self, answers: Sequence[Answered]) -> Sequence[None]:
        await self._gate.remember(answers)
        return [None] * len(answers)

    @staticmethod
    async def _tell_gate(telling: Awaitable[None]) -> None:
        try:
            await telling
        except RedisUnavailable as error:
            log.warning("gate_unavailable", why=str(error))


def _keyed(job: Job) -> Keyed:
    return Keyed(job.tenant, job.idempotency_key, job.fingerprint)


def _lane(request: JobRequest, payload: BaseModel) -> str | None:
    key = getattr(payload, "ordering_key", None)
    if key is None or not isinstance(payload, Ordered):
        return None
    return lane(request.tenant, payload.destination(), key)


def validate(handler: Handler, request: JobRequest, offers: Mapping[str, Any] | None = None) -> BaseModel:
    """The payload, as its kind reads it; raise InvalidField, with JSON pointers into the request, unless it fits."""
    try:
        if b"null" in orjson.dumps(request.payload):  # which is also how orjson writes what is no JSON
            json.dumps(request.payload, allow_nan=False)
        return handler.Payload.model_validate(request.payload, context=offers)
    except ValidationError as error:
        raise InvalidField(payload_problems(error)) from None
    except (TypeError, ValueError):
        advice = "NaN, Infinity, integers past 64 bits and lone surrogates cannot be kept; send them as text"
        raise InvalidField([("/payload", advice)]) from None


def payload_problems(error: ValidationError) -> Sequence[tuple[str, str]]:
    """Pydantic's errors as (JSON pointer, message), without echoing the input."""
    return [
        ("/payload" + "".join(f"/{part}" for part in detail["loc"]), detail["msg"])
        for detail in error.errors(include_url=False, include_input=False, include_context=False)
    ]
