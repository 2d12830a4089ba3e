"""What one call says about the downstream that it went to: only the downstream's own faults count.

| the call                                                        | says                                  |
|-----------------------------------------------------------------|---------------------------------------|
| answered, with any status but those below                       | it is well (slow, past `slow_ms`)     |
| answered 429, 502, 503 or 504                                   | its fault; 429 asks for less          |
| raised Unreachable, another TryLater, TimeoutError, ConnectionError | its fault                         |
| raised Rejected (TooLarge, Forbidden), or anything else         | nothing: the input's fault, or ours   |
| was cancelled                                                   | nothing, or slow past `slow_ms`       |
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus

from holdfast.domain.circuit import Report
from holdfast.domain.errors import TryLater

FAULTS = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
"""The statuses by which a server, or what stands before it, says that it cannot."""
_WELL, _NOTHING = Report(0, ok=1), Report(0)


class CallUnderWay:
    """Implements `ports.downstreams.Call`: what is said first is what counts."""

    def __init__(self, clock: float) -> None:
        self._began = clock
        self._report: Report | None = None
        self._cancelled = False

    def answered(self, status: int, retry_after: timedelta | None = None) -> None:
        """It answered with this HTTP status."""
        if status in FAULTS:
            self.failed(
                refused=status == HTTPStatus.TOO_MANY_REQUESTS,
                timeout=status == HTTPStatus.GATEWAY_TIMEOUT,
                retry_after=retry_after,
            )
        else:
            self._say(_WELL)

    def failed(self, *, refused: bool = False, timeout: bool = False, retry_after: timedelta | None = None) -> None:
        """It failed by its own fault."""
        pause = round((retry_after or timedelta(0)).total_seconds() * 1000)
        self._say(Report(0, failures=1, refusals=int(refused), timeouts=int(timeout), retry_after_ms=pause))

    def ended(self, error: BaseException | None) -> None:
        """The block ended, without an error or with this one."""
        match error:
            case None:
                self._say(_WELL)
            case TryLater():
                self.failed(timeout=error.error.endswith("Timeout"), retry_after=error.after)
            case TimeoutError():
                self.failed(timeout=True)
            case ConnectionError():
                self.failed()
            case asyncio.CancelledError():
                self._cancelled = True

    def report(self, now: float, slow_ms: int, epoch: int, leases: tuple[str, ...]) -> Report:
        """What there is to tell of a call that was admitted in this epoch, under these leases."""
        elapsed, said = max(0, round((now - self._began) * 1000)), self._report or _NOTHING
        if elapsed >= slow_ms and (said.ok or self._cancelled):
            return Report(epoch, slow=1, latency_ms=elapsed, leases=leases)
        if said.ok:
            return Report(epoch, ok=1, latency_ms=elapsed, leases=leases)
        return replace(said, epoch=epoch, leases=leases)

    def _say(self, report: Report) -> None:
        self._report = self._report or report
