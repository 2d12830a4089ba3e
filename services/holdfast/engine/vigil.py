"""Watch over running attempts, and end those whose claim has been voided: cancelled by a client, or taken over.

A voided attempt could never settle anyway (its token is stale); ending it early frees its slot and spares the
world an effect that nobody waits for. One question to the ledger a second covers all attempts of a process, and none
is asked while nothing runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context
from uuid import UUID

import structlog

from holdfast.domain.attempt import Claim
from holdfast.domain.errors import LedgerUnavailable
from holdfast.ports.ledger import Ledger
from holdfast.telemetry.logs import of_job

log = structlog.get_logger(__name__)

_Key = tuple[UUID, int]
"""Job id and token: they name a claim."""
LOOK_EVERY = 1.0
"""Seconds between two looks: how late a cancelled attempt ends."""


class Vigil:
    """The attempts that this process is running."""

    def __init__(self, ledger: Ledger, *, every: float = LOOK_EVERY) -> None:
        self._ledger, self._every = ledger, every
        self._running: dict[_Key, tuple[Claim, asyncio.Task[object]]] = {}
        self._voided: set[_Key] = set()
        self._watching: asyncio.Task[None] | None = None

    @contextmanager
    def over(self, claim: Claim) -> Iterator[None]:
        """While in this context the current task is cancelled if `claim` is voided."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an attempt must run as a task")
        self._running[_key(claim)] = claim, task
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), context=Context())  # it is about no one attempt
        try:
            yield
        finally:
            del self._running[_key(claim)]

    def take_voided(self, claim: Claim) -> bool:
        """Whether the task was cancelled because its claim is void; asks once."""
        voided = _key(claim) in self._voided
        self._voided.discard(_key(claim))
        return voided

    async def _watch(self) -> None:
        try:
            await asyncio.sleep(self._every)
            while self._running:
                await self._look()
                await asyncio.sleep(self._every)
        finally:
            self._watching = None

    async def _look(self) -> None:
        try:
            lapsed = await self._ledger.lapsed([claim for claim, _ in self._running.values()])
        except LedgerUnavailable as error:
            log.warning("vigil_blind", why=str(error))
            return
        for claim in lapsed:
            found = self._running.get(_key(claim))
            if found is not None:
                log.info("attempt_voided", **of_job(claim.job))
                self._voided.add(_key(claim))
                found[1].cancel()


def _key(claim: Claim) -> _Key:
    return claim.job.id, claim.token
