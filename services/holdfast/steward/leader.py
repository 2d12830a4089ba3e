"""Stand for election, lead while elected, step down when the lock is lost.

    waiting ──acquire──► leading ──lock lost, or a loop broke──► waiting
                            └──stop──► released

A loop that raises an Unavailable is tried again at its next turn; anything else ends the term, is logged, and
somebody (perhaps this process again) is elected anew. Every loop is safe to run twice at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from holdfast.domain.errors import Unavailable
from holdfast.ports.leadership import Leadership
from holdfast.steward.loops import Loop
from holdfast.telemetry import metrics
from holdfast.telemetry.census import CENSUS
from holdfast.telemetry.pool import POOL

log = structlog.get_logger(__name__)

ELECTION_EVERY = 2.0
"""Seconds between two tries for the lock, and between two looks whether it is still held."""


class _Deposed(Exception):
    """The lock is gone."""


class Steward:
    """Runs `loops` while this process leads."""

    def __init__(self, leadership: Leadership, loops: Sequence[Loop]) -> None:
        self._leadership, self._loops = leadership, loops
        self.leading = False

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            while True:
                if await self._leadership.acquire():
                    await self._lead()
                await asyncio.sleep(ELECTION_EVERY)
        finally:
            self.leading = False
            await asyncio.shield(self._leadership.release())

    async def _lead(self) -> None:
        metrics.TERMS.of().inc()
        log.info("steward_elected")
        self._lead_or_not(True)
        try:
            async with asyncio.TaskGroup() as term:
                term.create_task(self._watch_lock())
                for loop in self._loops:
                    term.create_task(_repeat(loop))
        except* _Deposed:
            log.warning("steward_deposed")
        except* Exception:
            log.exception("steward_term_ended")
        finally:
            self._lead_or_not(False)

    def _lead_or_not(self, leading: bool) -> None:
        self.leading = leading
        metrics.LEADING.of().set(leading)
        CENSUS.show(None)
        POOL.show(None)

    async def _watch_lock(self) -> None:
        while await self._leadership.held():  # noqa: ASYNC110 - the lock is the database's, which sets no event
            await asyncio.sleep(ELECTION_EVERY)
        raise _Deposed


async def _repeat(loop: Loop) -> None:
    seconds, failures = metrics.LOOP_SECONDS.of(loop.name), metrics.LOOP_FAILURES.of(loop.name)
    while True:
        try:
            with seconds.time():
                more = await loop.turn()
        except Unavailable as error:
            failures.inc()
            log.warning("steward_loop_waits", loop=loop.name, why=str(error))
            more = False
        await asyncio.sleep(0 if more else loop.every)
