"""Conservation: every accepted job is somewhere, and a ticket that is nowhere is written anew.

The ledger knows a place for every job (`ports.census`). Only the place `broker` is a matter of trust: the ticket
was confirmed, and the broker should have it. So, for each work queue, as many messages must be there as there are
jobs whose ticket can be nowhere else:

    missing = home − ready − max(0, unacked − running)           never below 0

    home       QUEUED jobs, and WAITING jobs whose longest wait in a retry queue is over, without an outbox row
    running    RUNNING jobs: each of their tickets is among the unacknowledged messages
    ready, unacked    the messages of the work queue

Retry queues mix bulkheads, and need not be told apart: a WAITING job is left out of the sum until its ticket must
have come home. A message in `holdfast.dead` may be a ticket of any bulkhead that the archiver has yet to look at, so
`missing` is lessened by their number.

Why it is never too large while nothing is lost. The broker's counts are up to five seconds old (its tick), and are
taken before the ledger's. Jobs that came to where they are less than `settled_for` (15 s) ago are left out of
`home` and `running`, so that each of those counted was there at the moment of the broker's count, whenever within
the 15 seconds that was; `jobs.since` is the time of a job's last change, or of its ticket's confirm when that came
late. What moved on since then is in `ready` or `unacked`, but not in `home`, which only makes `missing` smaller.
Two errors remain, and both are harmless. A running job whose ticket is gone (its queue was deleted) makes `missing`
too large by one while other tickets of its queue are delivered. A broker that has just restarted may tell old or
empty counts. For these, a number counts only when it persists: `unaccounted` is the least of the last `samples`
(3) samples, which are `every` (10 s) apart. With fewer samples it is known only when it is zero.

Where it is too small. Duplicates (a ticket published twice, a ticket written anew for a job that had one) stand in
for as many lost tickets until a worker has refused them. Then the loss shows, and is repaired; a loss is never
hidden for longer than it takes the queue to pass the duplicates.

Detection takes 15 s + 2 × 10 s, and 42 s more for a ticket that was lost from a retry queue.

Repair. Which job's ticket is lost cannot be told from the broker, so the jobs that have stood longest get new ones,
as many as are missing. A job that had its ticket all along gets a second: the claim refuses the later copy. The job
then counts as new, so the next repair goes on to others, and ends when nothing is missing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import timedelta

import structlog

from holdfast.domain.errors import BrokerUnavailable
from holdfast.domain.topology import DEAD, WORK, work_queue
from holdfast.engine.dispatch import Dispatch
from holdfast.ports.census import BrokerCensus, LedgerCensus, LedgerCount, Observation, QueueCount
from holdfast.ports.outbox import Outbox
from holdfast.telemetry.logs import of_envelope

log = structlog.get_logger(__name__)

SETTLED_FOR = timedelta(seconds=15)
"""Three times the age that the broker's counts were found to have."""
SAMPLES = 3
BATCH = 500
"""Tickets written anew in one statement."""
MOST = 5_000
"""Tickets written anew in one turn, for each work queue."""


def missing(ledger: LedgerCount, queues: Mapping[str, QueueCount]) -> dict[str, int]:
    """Tickets that are missing from each work queue in one sample."""
    undecided = queues[DEAD].ready + queues[DEAD].unacked
    found: dict[str, int] = {}
    for name in WORK:
        queue, jobs = queues[work_queue(name)], ledger.bulkheads[name]
        short = max(0, jobs.home - queue.ready - max(0, queue.unacked - jobs.running))
        found[name] = max(0, short - undecided)
        undecided = max(0, undecided - short)
    return found


class Conservation:
    """Compares ledger and broker, and repairs what stays amiss."""

    def __init__(
        self,
        ledger: LedgerCensus,
        broker: BrokerCensus,
        outbox: Outbox,
        dispatch: Dispatch,
        *,
        settled_for: timedelta = SETTLED_FOR,
        samples: int = SAMPLES,
    ) -> None:
        self._ledger, self._broker, self._outbox, self._dispatch = ledger, broker, outbox, dispatch
        self._settled_for = settled_for
        self._samples: deque[dict[str, int]] = deque(maxlen=samples)

    async def look(self) -> Observation:
        """Take a sample: the broker first, because its counts must be the older ones. Raise LedgerUnavailable."""
        try:
            queues = await self._broker.queues()
        except BrokerUnavailable as error:
            log.warning("census_without_broker", why=str(error))
            self._samples.clear()
            return Observation(await self._ledger.count(self._settled_for), None, None)
        ledger = await self._ledger.count(self._settled_for)
        self._samples.append(missing(ledger, queues))
        return Observation(ledger, queues, self._unaccounted())

    async def repair(self) -> dict[str, int]:
        """Write new tickets for as many jobs as are unaccounted for; return how many, by work queue."""
        written: dict[str, int] = {}
        for queue, lost in (self._unaccounted() or {}).items():
            if lost:
                written[queue] = await self._replace(queue, min(lost, MOST))
                log.warning("jobs_unaccounted", queue=queue, missing=lost, tickets_written=written[queue])
        return written

    def _unaccounted(self) -> dict[str, int] | None:
        if not self._samples:
            return None
        least = {queue: min(sample[queue] for sample in self._samples) for queue in WORK}
        return least if len(self._samples) == self._samples.maxlen or not any(least.values()) else None

    async def _replace(self, queue: str, wanted: int) -> int:
        written = 0
        while written < wanted:
            tickets = await self._outbox.replace(queue, self._settled_for, min(BATCH, wanted - written))
            await self._dispatch.send_all(tickets)
            written += len(tickets)
            for ticket in tickets:
                log.warning("ticket_replaced", **of_envelope(ticket))
            if not tickets:
                break
        await self._dispatch.idle()
        for sample in self._samples:  # what was just written is not missing any more
            sample[queue] = max(0, sample[queue] - written)
        return written
