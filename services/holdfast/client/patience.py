"""How long and how often a call is repeated.

Repeating is safe because a submit carries its Idempotency-Key: however often it arrives, there is one job. So the
client may repeat even when it cannot know whether the first request was done, which is the case that matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds. The waits grow as `first × 2ⁿ` up to `longest`; the whole call ends within `total`."""

    total: float = 30.0
    """From the first request to the last answer. Zero means: one request, no repetition."""
    first: float = 0.2
    longest: float = 5.0
    per_request: float = 10.0
    """Longest wait for the answer of one request."""

    def pause(self, failures: int, draw: float, retry_after: float | None = None) -> float:
        """Wait after `failures` failed requests (from 1); `draw` in [0, 1) is the jitter.

        Half of the wait is jitter, so that clients that failed together do not come back together. A Retry-After
        is never cut short: its jitter comes on top.
        """
        wait = min(self.longest, self.first * 2.0 ** min(failures - 1, 32))
        if retry_after is not None:
            return retry_after + draw * min(self.first, 0.1 * retry_after)
        return wait * (0.5 + 0.5 * draw)


def seconds_of(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Read a Retry-After header (RFC 9110, 10.2.3): seconds, or an HTTP date; None when absent or unreadable."""
    if retry_after is None:
        return None
    try:
        return max(0.0, float(int(retry_after)))
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError, IndexError):  # the parser's answers to malformed dates
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())
