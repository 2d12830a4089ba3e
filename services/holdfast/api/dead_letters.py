"""The dead letters: list, show, replay, drop. Replaying and dropping need the role `operate`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from holdfast.api import audit
from holdfast.api import dead_letter_schemas as schemas
from holdfast.api.auth import requires
from holdfast.api.problems import Problem
from holdfast.api.schemas import JobOut
from holdfast.api.state import State, StateDep, answer, cursor_id, next_cursor
from holdfast.api.strict import StrictRoute
from holdfast.domain.audit import AuditAction, AuditEntry
from holdfast.domain.dead_letter import DeadLetter
from holdfast.domain.errors import NotFound
from holdfast.domain.tenancy import Caller, Role
from holdfast.engine.audited import audited
from holdfast.ports.dead_letters import DeadLetterQuery
from holdfast.ports.faults import FaultPoint
from holdfast.telemetry import metrics, spans, tracing
from holdfast.telemetry.label_values import LetterEnd
from holdfast.telemetry.logs import fields

log = structlog.get_logger(__name__)

CHUNK = 500
"""Letters that a bulk replay looks up at a time."""

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"], route_class=StrictRoute)

Reader = Annotated[Caller, Depends(requires(Role.READ))]
Operator = Annotated[Caller, Depends(requires(Role.OPERATE))]


@router.get("", response_model=schemas.DeadLettersOut)
async def list_dead_letters(
    state: StateDep,
    caller: Reader,
    where: Annotated[schemas.DeadLetterFilter, Depends()],
    settled: Annotated[bool, Query(description="Show replayed and dropped ones too.")] = False,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """List dead letters, newest first. An operator sees all tenants', and messages that belong to none."""
    found = await state.runtime.dead_letters.find(_query(caller, where, limit, cursor_id(cursor), settled))
    ids = [letter.id for letter in found]
    shown = list(map(schemas.dead_letter_out, found))
    return answer({"dead_letters": shown, "next_cursor": next_cursor(ids, limit)})


@router.get("/groups", response_model=schemas.DeadLetterGroupsOut)
async def groups(
    state: StateDep,
    caller: Reader,
    where: Annotated[schemas.DeadLetterFilter, Depends()],
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """Group equal failures, the most frequent first, with when each was first and last seen."""
    found = await state.runtime.dead_letters.groups(_query(caller, where, limit, None, settled=False))
    return answer({"groups": list(map(asdict, found))})


@router.get("/{letter_id}", response_model=schemas.DeadLetterOut)
async def read(letter_id: UUID, state: StateDep, caller: Reader) -> Response:
    """Show one dead letter; an operator also sees the traceback, where the handler failed in a way nobody foresaw."""
    letter = await _letter(state, caller, letter_id)
    traceback = await _traceback(state, letter) if Role.OPERATE in caller.roles else None
    return answer(schemas.dead_letter_out(letter) | {"traceback": traceback})


@router.post("/replay", response_model=schemas.BulkReplayOut)
async def replay_many(body: schemas.BulkReplayIn, state: StateDep, caller: Operator) -> Response:
    """Replay all that match and can be replayed, oldest first; with `dry_run` only count them."""
    query = replace(_query(caller, body.filter, CHUNK, None, settled=False), replayable=True, oldest_first=True)
    matched = min(await state.runtime.dead_letters.count(query), body.limit or sys.maxsize)
    counts = {"matched": matched, "replayed": 0, "skipped": 0, "dry_run": body.dry_run}
    if not body.dry_run:
        chosen = body.model_dump(mode="json", exclude={"reason", "dry_run"}, exclude_none=True)
        entry = audit.entry(state, caller, AuditAction.DEAD_LETTERS_REPLAY, "dead-letters", body.reason, chosen)
        async with audited(state.runtime.audit, entry) as details:
            async for replayed in _replay_many(state, query, matched, body):
                details |= {"matched": matched, "replayed": replayed}
                counts |= {"replayed": replayed}
        counts["skipped"] = matched - counts["replayed"]
    return answer(counts)


@router.post("/{letter_id}/replay", status_code=202, response_model=JobOut)
async def replay(letter_id: UUID, body: schemas.ReplayIn, state: StateDep, caller: Operator) -> Response:
    """Queue the job again: the same id and key, a fresh attempt budget, no deadline."""
    letter = await _letter(state, caller, letter_id)
    entry = _entry(state, caller, AuditAction.DEAD_LETTER_REPLAY, letter, body.reason)
    if not await _replay(state, letter, schemas.priority_or_none(body.priority), entry):
        detail = f"dead letter {letter_id} cannot be replayed: it was replayed or dropped before, or has no job of ours"
        raise Problem(409, "not-replayable", "Not replayable", detail)
    job = await state.runtime.core.ledger.any_job(letter.job_id) if letter.job_id else None
    if job is None:
        raise NotFound(f"the job of dead letter {letter_id} is gone")
    return answer(state.show(job), 202)


@router.post("/{letter_id}/drop", response_model=schemas.DeadLetterOut)
async def drop(letter_id: UUID, body: schemas.DropIn, state: StateDep, caller: Operator) -> Response:
    """Take a dead letter off the list. Its row stays, with who dropped it and why."""
    letter = await _letter(state, caller, letter_id)
    entry = _entry(state, caller, AuditAction.DEAD_LETTER_DROP, letter, body.reason)
    dropped = await state.runtime.dead_letters.drop(letter_id, caller.name, body.reason, entry)
    if dropped is None:
        raise Problem(409, "not-droppable", "Not droppable", f"dead letter {letter_id} was replayed or dropped before")
    metrics.LETTERS_SETTLED.of(LetterEnd.DROPPED).inc()
    return answer(schemas.dead_letter_out(dropped))


async def _replay_many(
    state: State, query: DeadLetterQuery, wanted: int, body: schemas.BulkReplayIn
) -> AsyncIterator[int]:
    """Replay chunk by chunk, telling how many there are so far. A replayed letter matches no more, so the next chunk
    is what is left.
    """
    replayed = 0
    while replayed < wanted:
        found = await state.runtime.dead_letters.find(replace(query, limit=min(CHUNK, wanted - replayed)))
        before = replayed
        for letter in found:
            replayed += await _replay(state, letter, schemas.priority_or_none(body.priority))
            yield replayed
            if body.rate:
                await asyncio.sleep(1 / body.rate)
        if replayed == before:
            break


async def _replay(state: State, letter: DeadLetter, priority: int | None, entry: AuditEntry | None = None) -> bool:
    """Commit the replay, then publish; what cannot be published now the steward publishes later."""
    core = state.runtime.core
    with spans.replaying(letter):
        place = tracing.here() if tracing.on() else None
        replayed = await state.runtime.dead_letters.replay(letter.id, priority, entry, place)
        if replayed is None:
            return False
        metrics.LETTERS_SETTLED.of(LetterEnd.REPLAYED).inc()
        if letter.job_id is not None:
            key, origin = letter.headers.get("idempotency-key"), place or spans.origin(letter.headers)
            log.info("dead_letter_replayed", **fields(letter.job_id, letter.attempt, letter.kind, key, origin))
        core.faults.reach(FaultPoint.REPLAY_COMMITTED)
        await core.dispatch.advance(replayed.lane)
        if replayed.envelope is not None:
            await core.dispatch.send(replayed.envelope)
    return True


def _entry(state: State, caller: Caller, action: AuditAction, letter: DeadLetter, reason: str | None) -> AuditEntry:
    about = {"job_id": letter.job_id and str(letter.job_id), "tenant": letter.tenant, "kind": letter.kind}
    return audit.entry(state, caller, action, letter.id, reason, about)


async def _traceback(state: State, letter: DeadLetter) -> str | None:
    """The traceback of the attempt that the letter is about."""
    attempts = await state.runtime.core.ledger.attempts(letter.job_id) if letter.job_id else []
    failures = [attempt.failure for attempt in attempts if attempt.number == letter.attempt]
    return failures[0].traceback if failures and failures[0] else None


async def _letter(state: State, caller: Caller, letter_id: UUID) -> DeadLetter:
    letter = await state.runtime.dead_letters.get(letter_id)
    if letter is None or (Role.OPERATE not in caller.roles and letter.tenant != caller.tenant):
        raise NotFound(f"there is no dead letter {letter_id}; `GET /v1/dead-letters` lists them")
    return letter


def _query(
    caller: Caller, where: schemas.DeadLetterFilter, limit: int, before: UUID | None, settled: bool
) -> DeadLetterQuery:
    conditions: dict[str, Any] = where.model_dump()
    tenant = None if Role.OPERATE in caller.roles else caller.tenant
    return DeadLetterQuery(tenant=tenant, settled=settled, before=before, limit=limit, **conditions)
