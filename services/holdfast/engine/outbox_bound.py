"""Refuse new jobs while too many messages wait for a broker that is away.

Accepting on while RabbitMQ is down is a promise that the outbox must be able to keep: what it holds has to be
published after the recovery, 500 rows a turn. So it has a bound, and past it the api answers 503.

The size is counted beside the requests, at most once in `EVERY` seconds and never past the bound, so it costs a
healthy platform (a nearly empty outbox) next to nothing. Each api process may therefore exceed the bound by what it
accepts within that time. What must go on is not refused: retries, promotions and replays are bounded by the jobs
that were accepted before.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from holdfast.domain.errors import LedgerUnavailable, OutboxFull
from holdfast.engine.occasionally import Occasionally
from holdfast.ports.outbox import Outbox

log = structlog.get_logger(__name__)

EVERY = 1.0
"""Seconds between two counts."""


class OutboxBound:
    """Keeps the outbox from growing past `limit` rows; `monotonic` tells the time in seconds."""

    def __init__(self, outbox: Outbox, limit: int, monotonic: Callable[[], float]) -> None:
        self._outbox, self._limit = outbox, limit
        self._full = False
        self._counting = Occasionally(self.count, EVERY, monotonic)

    def check(self) -> None:
        """Raise OutboxFull when the last count had reached the bound; begin a new count when that was a while ago."""
        self._counting.poke()
        if self._full:
            raise OutboxFull(self._limit)

    async def count(self) -> None:
        """Look at the outbox now. A ledger that is away refuses by itself."""
        try:
            full = await self._outbox.size(self._limit) >= self._limit
        except LedgerUnavailable:
            return
        if full != self._full:
            log.warning("outbox_full" if full else "outbox_has_room_again", limit=self._limit)
        self._full = full
