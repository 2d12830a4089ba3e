"""The census over the ledger in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from holdfast.adapters.memory.dead_letters import MemoryDeadLetters
from holdfast.adapters.memory.ledger import MemoryLedger, Record
from holdfast.domain.errors import BrokerUnavailable
from holdfast.domain.job import ENDED, JobState
from holdfast.domain.topology import DEAD, WORK, retry_queues, work_queue
from holdfast.ports.census import Bulkhead, LedgerCount, Place, QueueCount
from holdfast.ports.dead_letters import DeadLetterQuery


class MemoryCensus:
    """Implements `ports.census.LedgerCensus` over a MemoryLedger."""

    def __init__(self, ledger: MemoryLedger, dead_letters: MemoryDeadLetters) -> None:
        self._ledger, self._dead_letters = ledger, dead_letters

    async def count(self, settled_for: timedelta) -> LedgerCount:
        """Walk over every record."""
        ledger, now = self._ledger, self._ledger.clock.now()
        records = ledger.records.values()
        states = Counter(record.job.state for record in records)
        places = Counter(self._place(record) for record in records if record.job.state not in ENDED)
        bulkheads = {
            queue: Bulkhead(
                home=sum(ledger.home(record, settled_for) for record in records if record.job.queue == queue),
                running=sum(
                    record.job.state is JobState.RUNNING and record.since < now - settled_for
                    for record in records
                    if record.job.queue == queue
                ),
            )
            for queue in WORK
        }
        counted = [state for state in JobState if state not in {JobState.SUCCEEDED, JobState.CANCELLED}]
        letters = await self._dead_letters.find(DeadLetterQuery(limit=1_000_000))
        oldest = min((ticket.enqueued_at for ticket in ledger.outbox.values()), default=now)
        died = min((letter.died_at for letter in letters), default=now)
        return LedgerCount(
            {state: states[state] for state in counted},
            {place: places[place] for place in Place},
            bulkheads,
            len(ledger.outbox),
            max(now - oldest, timedelta(0)),
            Counter(letter.reason for letter in letters),
            max(now - died, timedelta(0)),
        )

    async def unknown(self, job_ids: Sequence[UUID]) -> set[UUID]:
        """Those without a record."""
        return {job_id for job_id in job_ids if job_id not in self._ledger.records}

    def _place(self, record: Record) -> Place:
        job, now = record.job, self._ledger.clock.now()
        if job.state is JobState.RUNNING:
            return Place.RESCUE if record.lease_until is not None and record.lease_until < now else Place.LEASE
        if job.state is JobState.BLOCKED:
            return Place.LANE
        if job.due_at is not None:
            return Place.TIMER
        return Place.BROKER if self._ledger.ticketed(record) else Place.OUTBOX


class MemoryBrokerCensus:
    """Implements `ports.census.BrokerCensus` with counts that the test sets."""

    def __init__(self) -> None:
        names = [DEAD, *map(work_queue, WORK), *(retry.name for retry in retry_queues())]
        self.counts = dict.fromkeys(names, QueueCount())
        self.away = False

    async def queues(self) -> Mapping[str, QueueCount]:
        """What was set."""
        if self.away:
            raise BrokerUnavailable("RabbitMQ's management API does not answer")
        return dict(self.counts)
