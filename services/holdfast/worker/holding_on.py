"""Hold on to a worker while it has jobs, so that it is not the one to go when there are too many.

    free ──busy──► held ──idle for IDLE──► free
                    │ ▲
      held for MOST │ │ PAUSE is over, still busy
                    ▼ │
                   let go

Held by a lease that is renewed, so a worker that dies is held no longer than LEASE. And never for longer than MOST at
a stretch: a deployment waits for every held task, and a worker that is busy all day would never be replaced. What it
has when it is stopped then is finished, or given back unspent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import structlog

from holdfast.domain.errors import ProtectionUnavailable
from holdfast.ports.protection import Protection

log = structlog.get_logger(__name__)

LOOK_EVERY = 5.0
"""Seconds between two looks whether the worker is busy."""
LEASE = timedelta(minutes=3)
RENEW = 60.0
"""Seconds after which the lease is renewed."""
IDLE = 15.0
"""Seconds without a job after which the worker is let go: it asks for little, and webhooks come in bursts."""
MOST = 15 * 60.0
"""Seconds for which it is held at a stretch,"""
PAUSE = 60.0
"""and seconds for which it may be chosen then."""


class HoldingOn:
    """Decides at each `look`; `busy` says how many jobs the worker has, `now` is monotonic time in seconds."""

    def __init__(
        self, protection: Protection, busy: Callable[[], int], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._protection, self._busy, self._now = protection, busy, now
        self._since: float | None = None
        self._renewed = self._last_busy = 0.0
        self._not_before = float("-inf")

    def look(self) -> None:
        """Hold, go on holding, or let go; never raises for an agent that is away."""
        now = self._now()
        busy = self._busy() > 0
        if busy:
            self._last_busy = now
        try:
            if self._since is None:
                if busy and now >= self._not_before:
                    self._hold(now)
                    self._since = now
            elif now - self._since >= MOST:
                self._not_before = now + PAUSE
                self._let_go()
            elif now - self._last_busy >= IDLE:
                self._let_go()
            elif now - self._renewed >= RENEW:
                self._hold(now)
        except ProtectionUnavailable as error:
            log.warning("worker_not_protected", why=str(error))

    def _hold(self, now: float) -> None:
        self._protection.hold(LEASE)
        self._renewed = now

    def _let_go(self) -> None:
        self._since = None  # first, for ECS lets go by itself when the lease is over
        self._protection.let_go()


@contextmanager
def holding_on(protection: Protection | None, busy: Callable[[], int]) -> Iterator[None]:
    """Look again and again, in a thread, while in this context; nothing where nobody can be asked."""
    if protection is None:
        yield
        return
    decide, over = HoldingOn(protection, busy), threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_EVERY):
            decide.look()

    threading.Thread(target=watch, name="holdfast-holding-on", daemon=True).start()
    try:
        yield
    finally:
        over.set()
