"""Refuse jobs for a queue that is too long, the less urgent ones first (`domain.backlog`).

Each api process looks at the broker by itself, through the management API: a look costs the broker some milliseconds,
and nothing else has to be alive for it, neither a steward nor Redis. Like the count of the outbox it happens beside the
requests, at most once in `EVERY` seconds. The broker's counts are up to five seconds old, so a process may exceed a
bound by what it accepts within about seven.

    a look fails               the last one counts for `STALE` seconds
    and no other succeeds      nothing is refused here: a broker that is away fills the outbox, which has its own bound
    the counters begin anew    the rate is what was measured before
    a job is due later         it is taken if the jobs that wait now will be through by then; jobs that come of age,
                               retries and replays are never refused
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from holdfast.domain.backlog import Backlog, BacklogLimits, Band, Depth, DrainRate, band_of
from holdfast.domain.errors import BacklogFull, BrokerUnavailable
from holdfast.domain.topology import WORK, work_queue
from holdfast.engine.occasionally import Occasionally
from holdfast.ports.census import BrokerCensus

log = structlog.get_logger(__name__)

EVERY = 2.0
"""Seconds between two looks."""
STALE = 30.0
"""Seconds after which a look says nothing any more."""


class BacklogBound:
    """Keeps the work queues within `limits`; `monotonic` tells the time in seconds."""

    def __init__(self, census: BrokerCensus, limits: BacklogLimits, monotonic: Callable[[], float]) -> None:
        self._census, self._limits, self._monotonic = census, limits, monotonic
        self._rates = {queue: DrainRate() for queue in WORK}
        self._seen: Mapping[str, Backlog] = {}
        self._seen_at = float("-inf")
        self._refused: set[tuple[str, Band]] = set()
        self._looking = Occasionally(self.look, EVERY, monotonic)

    def check(self, queue: str, priority: int, due_in: timedelta) -> None:
        """Raise BacklogFull when the queue, as last seen, has no room for a job of this priority that is due then."""
        self._looking.poke()
        backlog = self._seen.get(queue)
        if backlog is None or self._monotonic() > self._seen_at + STALE:
            return
        band = band_of(priority)
        excess = backlog.excess(band, self._limits)
        self._tell(queue, band, backlog, refused=excess is not None)
        if excess is not None and due_in < backlog.holds_until():
            raise BacklogFull(queue, band, backlog.ready, backlog.wait, excess)

    async def look(self) -> None:
        """Ask the broker now."""
        try:
            counts = await self._census.queues()
        except BrokerUnavailable as error:
            log.info("backlog_unknown", why=str(error))
            return
        now, seen = self._monotonic(), dict[str, Backlog]()
        for queue, rate in self._rates.items():
            count = counts[work_queue(queue)]
            rate.observe(Depth(count.ready, count.taken, count.consumers, now))
            seen[queue] = Backlog(count.ready, rate.per_second)
        self._seen, self._seen_at = seen, now

    def _tell(self, queue: str, band: Band, backlog: Backlog, *, refused: bool) -> None:
        """Log where refusals begin and end, not each of them."""
        if refused != ((queue, band) in self._refused):
            (self._refused.add if refused else self._refused.discard)((queue, band))
            log.warning(
                "backlog_full" if refused else "backlog_has_room_again",
                queue=queue,
                priority=band,
                ready=backlog.ready,
                taken_per_second=backlog.per_second,
            )
