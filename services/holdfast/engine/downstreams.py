"""Calls of downstreams, as handlers make them: admitted by breakers that the whole pool shares, and reported to them.

Invariant: a handler never waits for Redis for longer than one command takes, and never works less safely without it.

The healthy path costs one round trip a job at most: an answer that says that nothing is the matter is good for
`fresh_ms`, so calls within it ask nobody, and one asks for all when it has run out; what came of healthy calls is added
up and rides on the heartbeat. Failures and leases are told at once, many in one round trip.

    Redis is …      admitted by           evidence goes to
    there           the shared breakers   the shared breakers
    away            this process's own    this process's own; what was refused before stays refused until its time
    back            the shared breakers   the shared breakers; the own ones forget by themselves

    crash after …   what happens
    admit           the lease of the call runs out; its evidence is lost
    the call        the same: evidence of up to a heartbeat is lost, and the others gather theirs
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import structlog

from holdfast.domain.circuit import ANY_EPOCH, MILLION, RECHECK_MS, Reason, Report
from holdfast.domain.downstream import Admitted, Ask, Move, Refused
from holdfast.domain.downstream_policy import Policies
from holdfast.domain.errors import RedisUnavailable
from holdfast.engine.bulkhead import Bulkhead
from holdfast.engine.evidence import CallUnderWay
from holdfast.ports.downstreams import Breakers, Evidence, NotNow, Verdict, Worker
from holdfast.telemetry import metrics, spans
from holdfast.telemetry.label_values import Called, family_name

log = structlog.get_logger(__name__)

BEAT = 2.0
"""Seconds between two heartbeats; a worker counts as alive for five of them."""
MOST = 1_000
"""Names of which a process remembers an answer."""
LASTING = frozenset({Reason.OPEN, Reason.FORCED_OPEN, Reason.PACED})
"""Refusals that hold for every call until their time, so that they need not be asked for again at once."""


@dataclass(frozen=True, slots=True)
class _Ticket:
    """By whom a call was admitted, and under what."""

    shared: bool
    epoch: int
    leases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Permit:
    ticket: _Ticket
    until: float


@dataclass(frozen=True, slots=True)
class _Standing:
    """A refusal that is remembered: `until` is when it ends, `fresh_until` when to ask whether it still holds."""

    reason: Reason
    until: float
    fresh_until: float


class PooledDownstreams:
    """Implements `ports.downstreams.Downstreams`. `shared` is the pool's store, `own` the fallback of this process.

    Evidence is told, and the process counts as alive, while in the context of `reporting`.
    """

    def __init__(
        self,
        shared: Breakers,
        own: Breakers,
        policies: Policies,
        worker: Worker,
        *,
        most: int,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float],
    ) -> None:
        self._shared, self._own, self._policies, self._worker = shared, own, policies, worker
        self._clock, self._draw = clock, draw
        self._busy: Callable[[], int] = int
        self._bulkhead = Bulkhead(most, clock)
        self._permits: dict[str, _Permit] = {}
        self._asking: dict[str, asyncio.Event] = {}
        self._standing: dict[str, _Standing] = {}
        self._untold: dict[tuple[str, bool, int], Report] = {}
        self._alive, self._away = 1, False
        self._urgent = asyncio.Event()

    @asynccontextmanager
    async def reporting(self, busy: Callable[[], int]) -> AsyncIterator[None]:
        """Beat, and tell what came of calls; `busy` counts the jobs that are under way."""
        self._busy = busy
        await self.tell()
        telling = asyncio.create_task(self._keep_telling())
        try:
            yield
        finally:
            telling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling
            await self.tell()

    @asynccontextmanager
    async def call(self, name: str) -> AsyncIterator[CallUnderWay]:
        """Ask, let the handler call, and note what came of it."""
        with spans.calling(name):
            ticket, began = await self._placed(name)
            call = CallUnderWay(self._clock())
            try:
                yield call
            except BaseException as error:
                call.ended(error)
                raise
            else:
                call.ended(None)
            finally:
                said = call.report(self._clock(), self._policies.of(name).slow_ms, ticket.epoch, ticket.leases)
                self._note(name, ticket, said)
                self._bulkhead.leave(name, began)

    # -- asking -----------------------------------------------------------------------------------------------

    async def _placed(self, name: str) -> tuple[_Ticket, float]:
        """Take a place of this process, and ask; the time at which the place was taken.

        Where none is left the destination may be known to be sick. Then its breaker says when to come back, which is
        later; a job that comes back for nothing costs as much as any other.
        """
        try:
            try:
                began = await self._bulkhead.enter(name)
            except NotNow:
                ticket = await self._admit(name)
                self._note(name, ticket, Report(ticket.epoch, leases=ticket.leases))
                raise
            try:
                return await self._admit(name), began
            except BaseException:
                self._bulkhead.leave(name, began)
                raise
        except NotNow as refusal:
            metrics.NOT_NOW.of(family_name(name), refusal.reason).inc()
            raise

    async def _admit(self, name: str) -> _Ticket:
        """By a permit, if there is one; when it has run out for many at once, one of them asks for all."""
        if name in self._asking:
            await self._asking[name].wait()
        now = self._clock()
        permit = self._permits.get(name)
        if permit is None:  # calls that are counted one by one: each asks
            return await self._ask(name, now)
        if now < permit.until:
            return permit.ticket
        answered = self._asking[name] = asyncio.Event()
        try:
            return await self._ask(name, now)
        finally:
            self._asking.pop(name, None)
            answered.set()

    async def _ask(self, name: str, now: float) -> _Ticket:
        standing = self._standing.get(name)
        if standing is not None and now < standing.fresh_until:
            raise self._not_now(name, standing, now)
        ask = Ask(self._worker.instance, secrets.token_hex(6), self._lot())
        try:
            verdict = await self._shared.admit(name, ask)
        except RedisUnavailable as error:
            self._went_away(error)
            if standing is not None and now < standing.until:
                raise self._not_now(name, standing, now) from None
            return self._obey(name, ask, await self._own.admit(name, ask), shared=False)
        self._came_back()
        return self._obey(name, ask, verdict, shared=True)

    def _obey(self, name: str, ask: Ask, verdict: Verdict, *, shared: bool) -> _Ticket:
        now, policy = self._clock(), self._policies.of(name)
        self._heard(name, verdict.moved)
        self._permits.pop(name, None)
        self._standing.pop(name, None)
        match verdict.answer:
            case Admitted(epoch, leased, fresh):
                ticket = _Ticket(shared, epoch, (ask.lease,) if leased else ())
                if fresh and shared:
                    _make_room(self._permits, now)
                    self._permits[name] = _Permit(_Ticket(shared, epoch), now + policy.fresh_ms / 1000)
                return ticket
            case Refused(reason, retry_at):
                wait = max(0, retry_at - verdict.now) / 1000
                if reason in LASTING and shared:
                    fresh_until = now + min(wait, policy.fresh_ms / 1000)
                    _make_room(self._standing, now)
                    self._standing[name] = _Standing(reason, now + wait, fresh_until)
                raise NotNow(name, reason, timedelta(seconds=wait))

    def _not_now(self, name: str, standing: _Standing, now: float) -> NotNow:
        """A refusal that was heard before, for another job: its own jitter."""
        wait = (standing.until - now) * (1 + self._draw() / 2)
        return NotNow(name, standing.reason, timedelta(seconds=min(wait, RECHECK_MS / 1000)))

    # -- telling ----------------------------------------------------------------------------------------------

    def _note(self, name: str, ticket: _Ticket, report: Report) -> None:
        _count(name, report)
        if not report.calls and not report.leases:
            return
        key = name, ticket.shared, ticket.epoch
        before = self._untold.get(key)
        self._untold[key] = report if before is None else _sum(before, report)
        if report.bad or report.leases:
            self._permits.pop(name, None)
            self._urgent.set()

    async def _keep_telling(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._urgent.wait(), BEAT)
            self._urgent.clear()
            try:
                await self.tell()
            except Exception:  # a defect must not end the heartbeat
                log.exception("downstreams_untold")

    async def tell(self) -> None:
        """Say that this process is alive, and what came of its calls since the last time."""
        untold, self._untold = self._untold, {}
        worker = replace(self._worker, busy=self._busy())
        try:
            told = await self._shared.tell(worker, self._alive, self._evidence(untold, shared=True))
            self._alive = told.alive
            self._came_back()
        except RedisUnavailable as error:
            self._went_away(error)
            told = await self._own.tell(worker, 1, self._evidence(untold, shared=False))
        for (name, _, _), move in zip(untold, told.moves, strict=True):
            self._heard(name, move)

    def _evidence(self, untold: dict[tuple[str, bool, int], Report], *, shared: bool) -> list[Evidence]:
        """For the store that takes it: what was admitted by the other one is of no epoch that this one knows."""
        return [
            Evidence(name, report if admitted_by == shared else replace(report, epoch=ANY_EPOCH), self._lot())
            for (name, admitted_by, _), report in untold.items()
        ]

    def _lot(self) -> int:
        return int(self._draw() * MILLION)

    # -- what people hear -------------------------------------------------------------------------------------

    def _heard(self, name: str, move: Move | None) -> None:
        """The one place where a breaker's moves are known: each is told to the one process that caused it."""
        if move is None:
            return
        if move.before is not move.after:
            metrics.BREAKER_MOVES.of(family_name(name), move.after).inc()
            log.warning("breaker_moved", downstream=name, before=move.before, after=move.after, trips=move.trips)
        elif move.flagged:
            log.warning("worker_flagged", downstream=name, worker=move.flagged)

    def _went_away(self, error: RedisUnavailable) -> None:
        if not self._away:
            log.warning("breakers_alone", why=str(error))
        self._away, self._alive = True, 1
        metrics.BREAKERS_ALONE.of().set(1)
        self._permits.clear()

    def _came_back(self) -> None:
        if self._away:
            log.info("breakers_shared")
            metrics.BREAKERS_ALONE.of().set(0)
        self._away = False


def _count(name: str, report: Report) -> None:
    family = family_name(name)
    for result, calls in ((Called.OK, report.ok), (Called.SLOW, report.slow), (Called.FAILED, report.failures)):
        if calls:
            metrics.CALLS.of(family, result).inc(calls)


def _make_room(place: dict[str, Any], now: float) -> None:
    """Names are clients' text, and what has passed is of no use."""
    if len(place) >= MOST:
        for name in [name for name, one in place.items() if one.until <= now] or list(place)[: MOST // 10]:
            del place[name]


def _sum(one: Report, other: Report) -> Report:
    """Two reports of the same epoch as one."""
    return Report(
        other.epoch,
        ok=one.ok + other.ok,
        slow=one.slow + other.slow,
        failures=one.failures + other.failures,
        refusals=one.refusals + other.refusals,
        timeouts=one.timeouts + other.timeouts,
        latency_ms=one.latency_ms + other.latency_ms,
        retry_after_ms=max(one.retry_after_ms, other.retry_after_ms),
        leases=one.leases + other.leases,
    )
