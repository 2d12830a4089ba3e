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

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from uuid import UUID

import orjson
import structlog
from prometheus_client import Counter as Told
from pydantic import BaseModel, ValidationError

from holdfast.domain.envelope import Envelope, first_ticket
from holdfast.domain.errors import (
    HoldfastError,
    IdempotencyMismatch,
    InvalidField,
    LedgerUnavailable,
    RedisUnavailable,
    RequestInFlight,
    UnknownKind,
)
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
from holdfast.telemetry.families import Family
from holdfast.telemetry.label_values import GateSaid, Shared
from holdfast.telemetry.logs import of_job

log = structlog.get_logger(__name__)

Labels = tuple[str, ...]
POINTER = "/payload/endpoint_id"


@dataclass(frozen=True, slots=True)
class Submission:
    """The job that answers a request; `replayed` when an earlier request with the same key had made it."""

    job: Job
    replayed: bool


@dataclass(slots=True, eq=False)
class _Asked:
    """A request, as far as it has come."""

    request: JobRequest
    outcome: Submission | Exception | None = None
    """None while it is undecided."""
    job: Job = field(init=False)
    """What it becomes when it is accepted; not there when it was refused before."""
    payload: BaseModel = field(init=False)


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
        """`submit_all` of one; raise what keeps it from being accepted.

        Raises UnknownKind, InvalidField, IdempotencyMismatch, RequestInFlight, LedgerUnavailable, OutboxFull,
        BacklogFull.
        """
        (outcome,) = await self.submit_all((request,))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def submit_all(self, requests: Sequence[JobRequest]) -> list[Submission | Exception]:
        """Accept each request, or find what an earlier one with its key became, or say what keeps it from that.

        Those of a lane are accepted in their order. Of several with one key the first decides, and the others are
        answered as if they had come after it.
        """
        asked = list(map(_Asked, requests))
        _count(metrics.SUBMITTED, Counter[Labels]((request.kind,) for request in requests))
        try:
            firsts, repeats = _by_turn(asked)
            await self._submit_all(firsts)
            if repeats:
                await self._submit_all(repeats)
        except BaseException as error:
            _tell(asked, error)
            raise
        _tell(asked)
        return [it.outcome for it in asked if it.outcome is not None]

    async def _submit_all(self, asked: Sequence[_Asked]) -> None:
        self._prepare(asked)
        await self._ask_gate(_undecided(asked))
        await self._commit_held(_undecided(asked))

    def _prepare(self, asked: Iterable[_Asked]) -> None:
        """Refuse what there is no room for, and what is wrong; make jobs of the others."""
        now = self._clock.now()
        for it in asked:
            request = it.request
            try:
                handler = self._kinds.get(request.kind)
                if self._admission is not None:
                    self._admission.check(request, handler.queue, now)
                it.payload = validate(handler, request, self._offers)
            except HoldfastError as error:
                it.outcome = error
                continue
            lane = _lane(request, it.payload)
            it.job = self._sealed(handler, request.job(self._clock.new_id(), handler.queue, now, lane))

    def _sealed(self, handler: Handler, job: Job) -> Job:
        """The job without secrets in clear text. Its fingerprint is of the request as it came."""
        payload = seal(self._vault, handler.Payload, job.payload)
        secret = job.callback_secret and self._vault.seal(job.callback_secret)
        if payload is job.payload and secret is None:
            return job
        return replace(job, payload=payload, callback_secret=secret)

    async def _ask_gate(self, asked: Sequence[_Asked]) -> None:
        """Decide those whose key an earlier request has, in flight or answered. A gate that is away decides none."""
        keyed = [it for it in asked if it.request.key is not None]
        said, known = Counter[GateSaid](), list[_Asked]()
        answers = await self._hold.all([_keyed(it.job) for it in keyed]) if keyed else ()
        for it, answer in zip(keyed, answers, strict=True):
            match answer:
                case Held():
                    said[GateSaid.HELD] += 1
                case InFlight(seen, retry_after):
                    said[GateSaid.IN_FLIGHT] += 1
                    key = it.job.idempotency_key
                    same = seen == it.job.fingerprint
                    it.outcome = RequestInFlight(key, retry_after) if same else IdempotencyMismatch(key, [])
                case Known():
                    said[GateSaid.KNOWN] += 1
                    known.append(it)
                case RedisUnavailable():
                    said[GateSaid.UNAVAILABLE] += 1
                    unavailable = answer
                case Exception():
                    raise answer
        for word, times in said.items():
            metrics.GATE_ANSWERS.of(word).inc(times)
        if said[GateSaid.UNAVAILABLE]:
            log.warning("gate_unavailable", why=str(unavailable), jobs=said[GateSaid.UNAVAILABLE])
        if said[GateSaid.HELD]:
            self._faults.reach(FaultPoint.SUBMIT_HELD)
        await self._look_up(known)

    async def _look_up(self, known: Sequence[_Asked]) -> None:
        """Answer those that the gate knows with their jobs, as they stand now; what it only thinks it knows is new."""
        if not known:
            return
        try:
            owners = await self._ledger.owners([(it.job.tenant, it.job.idempotency_key) for it in known])
        except LedgerUnavailable as error:
            for it in known:
                it.outcome = error
            return
        for it, owner in zip(known, owners, strict=True):
            if owner is not None:
                it.outcome = self._replay(it, owner)

    async def _check_endpoints(self, asked: Sequence[_Asked]) -> None:
        """Only for requests that no earlier one has answered: what was accepted stays accepted."""
        naming = defaultdict[tuple[str, UUID], list[_Asked]](list)
        for it in asked:
            named = _value(it.payload, "endpoint_id")
            if named is not None and isinstance(it.payload, Addressed):
                naming[it.job.tenant, named].append(it)
        found = await asyncio.gather(*(self._receivers.exists(*it) for it in naming), return_exceptions=True)
        for ((_, named), those), exists in zip(naming.items(), found, strict=True):
            if isinstance(exists, BaseException) and not isinstance(exists, LedgerUnavailable):
                raise exists
            advice = f"there is no endpoint {named}; `GET /v1/endpoints` lists yours"
            for it in those if exists is not True else ():
                it.outcome = exists if isinstance(exists, LedgerUnavailable) else InvalidField([(POINTER, advice)])

    async def _commit_held(self, asked: Sequence[_Asked]) -> None:
        """Commit, and tell the gate what became of the keys."""
        keyed = [it for it in asked if it.request.key is not None]
        try:
            await self._check_endpoints(asked)
            await self._commit(_undecided(asked))
        except BaseException:
            await self._release(keyed)
            raise
        await self._release([it for it in keyed if isinstance(it.outcome, Exception)])
        jobs = [it.outcome.job for it in keyed if isinstance(it.outcome, Submission)]
        if jobs:
            for told in await self._remember.all([Answered(_keyed(job), job.id) for job in jobs]):
                if isinstance(told, RedisUnavailable):
                    log.warning("gate_unavailable", why=str(told), jobs=len(jobs))
                    break
            self._faults.reach(FaultPoint.SUBMIT_REMEMBERED)

    async def _commit(self, asked: Sequence[_Asked]) -> None:
        if not asked:
            return
        fresh = list[_Asked]()
        for it, owner in zip(asked, await self._accept.all([it.job for it in asked]), strict=True):
            if isinstance(owner, Exception):
                it.outcome = owner
            elif owner.id != it.job.id:
                it.outcome = self._replay(it, owner)
            else:
                it.outcome = Submission(owner, replayed=False)
                fresh.append(it)
        if fresh:
            self._faults.reach(FaultPoint.SUBMIT_COMMITTED)
            await self._begin(fresh)

    async def _begin(self, fresh: Sequence[_Asked]) -> None:
        """Send the tickets of jobs that are committed; of a lane it is `advance` that writes and sends them."""
        begun = {it.job_id for it in await self._dispatch.advance(*(it.job.lane for it in fresh))}
        now, tickets = self._clock.now(), list[Envelope]()
        for it in fresh:
            job = it.job
            if job.id in begun:
                job = job.move(JobState.QUEUED, due_at=None)
                it.outcome = Submission(job, replayed=False)
            elif job.state is JobState.QUEUED:
                tickets.append(first_ticket(job, now))
            log.info("job_accepted", **of_job(job), state=job.state.value)
        await self._dispatch.send_all(tickets)

    def _replay(self, asked: _Asked, owner: Job) -> Submission | IdempotencyMismatch:
        if owner.fingerprint != asked.job.fingerprint:
            return IdempotencyMismatch(owner.idempotency_key, asked.request.differs_from(self._opened(owner)))
        log.info("job_deduplicated", **of_job(owner), state=owner.state.value)
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

    async def _release(self, asked: Sequence[_Asked]) -> None:
        if not asked:
            return
        try:
            await self._gate.release([_keyed(it.job) for it in asked])
        except RedisUnavailable as error:
            log.warning("gate_unavailable", why=str(error), jobs=len(asked))


def _tell(asked: Iterable[_Asked], ended_by: BaseException | None = None) -> None:
    """Count what came of the requests."""
    accepted, replays, refused = Counter[Labels](), Counter[Labels](), Counter[Labels]()
    for it in asked:
        kind = it.request.kind
        match it.outcome or ended_by:
            case Submission(replayed=replayed):
                (replays if replayed else accepted)[kind,] += 1
            case BaseException() as error:
                refused[kind, refused_for(error)] += 1
    _count(metrics.ACCEPTED, accepted)
    _count(metrics.DEDUPLICATED, replays)
    _count(metrics.REFUSED, refused)


def _count(family: Family[Told], counts: Mapping[Labels, int]) -> None:
    for labels, times in counts.items():
        family.of(*labels).inc(times)


def _by_turn(asked: Sequence[_Asked]) -> tuple[Sequence[_Asked], Sequence[_Asked]]:
    """The first request of each key, and those that repeat one."""
    seen = set[tuple[str, str]]()
    firsts, repeats = list[_Asked](), list[_Asked]()
    for it in asked:
        name = it.request.tenant, it.request.key or ""
        (repeats if name in seen else firsts).append(it)
        if it.request.key is not None:
            seen.add(name)
    return firsts, repeats


def _undecided(asked: Iterable[_Asked]) -> list[_Asked]:
    return [it for it in asked if it.outcome is None]


def _keyed(job: Job) -> Keyed:
    return Keyed(job.tenant, job.idempotency_key, job.fingerprint)


def _value(payload: BaseModel, name: str) -> Any:
    """An attribute of a payload that few kinds have; pydantic takes long to say that there is none."""
    return getattr(payload, name) if _has(type(payload), name) else None


@cache
def _has(payload: type[BaseModel], name: str) -> bool:
    return name in payload.model_fields or hasattr(payload, name)


def _lane(request: JobRequest, payload: BaseModel) -> str | None:
    key = _value(payload, "ordering_key")
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
