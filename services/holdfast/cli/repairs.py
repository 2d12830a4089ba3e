"""The steps of `holdfast reconcile`, in the order in which they help each other.

    step          finds                                               repairs by
    topology      queues and policies that are missing or changed     declaring and setting them
    outbox        tickets that nobody has got confirmed               publishing them
    leases        running jobs whose lease has run out                new tickets for the same attempts
    tickets       jobs whose ticket is nowhere (engine.conserve)      new tickets
    dead queue    messages that the archiver has not filed            filing them
    gate          keys in Redis that name jobs the ledger lacks       forgetting them

Each is what the steward does by itself, but for the last. A ledger that was restored from an older backup lacks
jobs that Redis remembers. Such a key is not refused (the engine takes an answer without a job for none), so
forgetting it saves a question, nothing more. The tickets of such jobs end in the dead letters as `unparseable`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from holdfast.cli.checks import look
from holdfast.cli.session import person_on_server, say
from holdfast.domain.audit import AuditAction, AuditEntry
from holdfast.domain.envelope import Envelope
from holdfast.domain.errors import BrokerUnavailable, Unavailable
from holdfast.domain.topology import DEAD
from holdfast.ports.census import Observation, Place, QueueCount
from holdfast.runtimes import OperatorRuntime

BATCH = 500
"""Rows, messages or keys at a time."""
MOST = 100
"""Batches of one step; what is left after them is left to the steward, or to another run."""


WHY: Mapping[str, str] = {
    "topology": "Queues or policies are not as they should be, so messages may be dropped.",
    "outbox": "Committed tickets were not confirmed by RabbitMQ.",
    "leases": "Jobs run under a lease that has run out: their workers died.",
    "tickets": "Jobs wait for a ticket that RabbitMQ has lost.",
    "dead queue": "Dead messages are not filed in the ledger yet.",
    "gate": "Redis remembers keys of jobs that the ledger lacks: it was restored, or the jobs were forgotten.",
}


@dataclass(frozen=True, slots=True)
class Repair:
    """What one step found, and what it did or would do."""

    name: str
    found: int
    says: str
    why: str
    error: str | None = None


class Reconciliation:
    """Takes the steps one after the other; `act` is whether it repairs or only looks."""

    def __init__(self, runtime: OperatorRuntime, *, act: bool) -> None:
        self._runtime, self._act = runtime, act
        self._core = runtime.core
        self._observation: Observation | None = None

    async def steps(self) -> AsyncIterator[Repair]:
        """A step that a dependency keeps from its work does not keep the others from theirs."""
        steps = {"topology": self._topology, "outbox": self._outbox, "leases": self._leases, "tickets": self._tickets}
        steps |= {"dead queue": self._dead_queue, "gate": self._gate}
        for name, step in steps.items():
            why = WHY[name]
            try:
                if name != "topology":
                    await self._core.ledger.ping()
                found, says = await step()
                yield Repair(name, found, says, why)
            except Unavailable as error:
                yield Repair(name, 0, "", why, str(error))

    async def _topology(self) -> tuple[int, str]:
        work = self._runtime.topology.apply if self._act else self._runtime.management.diff
        differences = await asyncio.to_thread(work)
        return len(differences), _said(len(differences), "put right" if self._act else "to put right", differences)

    async def _outbox(self) -> tuple[int, str]:
        after = timedelta(seconds=self._core.settings.relay_after)
        if not self._act:
            rows = len(await self._core.outbox.unconfirmed(after, MOST * BATCH))
            return rows, _said(rows, "tickets to publish")
        found = sent = 0
        for _ in range(MOST):
            envelopes = await self._core.outbox.unconfirmed(after, BATCH)
            confirmed = await self._send(envelopes)
            found, sent = found + len(envelopes), sent + confirmed
            if len(envelopes) < BATCH or confirmed < len(envelopes):
                break
        if sent < found:
            raise BrokerUnavailable(f"RabbitMQ confirmed {sent} of {found} tickets; the rest stays in the outbox")
        return found, _said(sent, "tickets published")

    async def _leases(self) -> tuple[int, str]:
        lost = (await self._seen()).ledger.places[Place.RESCUE]
        if not self._act:
            return lost, _said(lost, "jobs to rescue")
        rescued = await self._core.outbox.rescue(timedelta(seconds=self._core.settings.rescue_after), MOST * BATCH)
        await self._send(rescued)
        young = lost - len(rescued)
        left = f", {young} left for HOLDFAST_RESCUE_AFTER, lest RabbitMQ redelivers them by itself" if young > 0 else ""
        return lost, _said(len(rescued), "jobs rescued") + left

    async def _tickets(self) -> tuple[int, str]:
        lost = sum((await self._broker_side())[1].values())
        if not self._act:
            return lost, _said(lost, "tickets to write anew")
        written = sum((await self._runtime.conservation.repair()).values())
        return lost, _said(written, "tickets written anew")

    async def _dead_queue(self) -> tuple[int, str]:
        if not self._act:
            waiting = (await self._broker_side())[0][DEAD].ready
            return waiting, _said(waiting, "messages to file")
        queue, filed = self._runtime.dead_queue, 0
        for _ in range(MOST):
            messages = await queue.fetch(BATCH)
            for delivered in messages:
                await self._runtime.bury.bury(delivered.message)
                await queue.acknowledge(delivered)
            filed += len(messages)
            if len(messages) < BATCH:
                break
        return filed, _said(filed, "messages filed")

    async def _gate(self) -> tuple[int, str]:
        stale, entries = 0, list[tuple[bytes, UUID]]()
        async for entry in self._runtime.gate.known():
            entries.append(entry)
            if len(entries) == BATCH:
                stale += await self._forget(entries)
                entries.clear()
        stale += await self._forget(entries)
        return stale, _said(stale, "keys forgotten" if self._act else "keys to forget")

    async def _forget(self, entries: Sequence[tuple[bytes, UUID]]) -> int:
        unknown = await self._runtime.census.unknown([job_id for _, job_id in entries])
        stale = [(name, job_id) for name, job_id in entries if job_id in unknown]
        for name, job_id in stale if self._act else ():
            await self._runtime.gate.forget(name, job_id)
        return len(stale)

    async def _send(self, envelopes: Sequence[Envelope]) -> int:
        sent = await self._core.dispatch.send_all(envelopes)
        await self._core.dispatch.idle()
        return sent

    async def _seen(self) -> Observation:
        if self._observation is None:
            self._observation = await look(self._runtime)
        return self._observation

    async def _broker_side(self) -> tuple[Mapping[str, QueueCount], Mapping[str, int]]:
        seen = await self._seen()
        if seen.queues is None or seen.unaccounted is None:
            raise BrokerUnavailable("RabbitMQ's management API does not answer, so messages cannot be counted")
        return seen.queues, seen.unaccounted


async def put_on_record(runtime: OperatorRuntime, done: Sequence[Repair]) -> None:
    """One entry of the audit trail for what was repaired; afterwards, for a ledger that is away stops no repair."""
    repaired = {repair.name: repair.error or repair.says for repair in done if repair.found or repair.error}
    new_id = runtime.core.clock.new_id()
    entry = AuditEntry(new_id, person_on_server(), AuditAction.RECONCILE, "platform", details=repaired)
    try:
        await runtime.audit.record(entry)
    except Unavailable as error:
        say(f"this is not in the audit trail: {error}")


def _said(count: int, what: str, details: Sequence[str] = ()) -> str:
    return f"{count} {what}" + (f": {'; '.join(details)}" if details else "") if count else "nothing to do"
