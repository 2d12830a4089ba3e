"""Forget what has been kept for long enough: ended jobs with their artifacts, settled dead letters, old uploads.

Artifacts first, then the row that names them: a crash in between leaves a row whose artifacts are gone, which the
next turn removes; the other order would leave files that nothing names. Nothing is removed that somebody may still
act on: open dead letters, their jobs, and every job that has not ended stay.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from holdfast.ports.artifacts import Artifacts
from holdfast.ports.clock import Clock
from holdfast.ports.retention import Retention

log = structlog.get_logger(__name__)

BATCH = 200
"""Jobs of one turn."""
AT_ONCE = 8
"""Jobs whose artifacts are removed at the same time."""


class Retain:
    """Keeps succeeded and cancelled jobs for `succeeded`, dead ones, settled letters and uploads for `dead`."""

    def __init__(
        self, retention: Retention, artifacts: Artifacts, clock: Clock, *, succeeded: timedelta, dead: timedelta
    ) -> None:
        self._retention, self._artifacts, self._clock = retention, artifacts, clock
        self._succeeded, self._dead = succeeded, dead

    async def turn(self) -> bool:
        """One bounded batch of each; True when there may be more."""
        jobs = await self._retention.expired(self._succeeded, self._dead, BATCH)
        slots = asyncio.Semaphore(AT_ONCE)

        async def remove(prefix: str) -> None:
            async with slots:
                await self._artifacts.delete(prefix)

        await asyncio.gather(*(remove(f"jobs/{job_id}") for job_id in jobs))
        forgotten = await self._retention.forget(jobs) if jobs else 0
        letters = await self._retention.forget_letters(self._dead, BATCH)
        uploads = await self._artifacts.delete_older("uploads", self._clock.now() - max(self._succeeded, self._dead))
        if forgotten or letters or uploads:
            log.info("forgotten", jobs=forgotten, dead_letters=letters, uploads=uploads)
        return BATCH in {len(jobs), letters}
