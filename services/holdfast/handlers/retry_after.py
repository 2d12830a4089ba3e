"""`Retry-After` (RFC 9110, 10.2.3): seconds, or the date to wait for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(days=1)
"""What we take at its word; the retry policy clamps further."""


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """How long the receiver asks to be left alone; None when it does not say, or not in a form that is known."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(timedelta(0), min(until - now, LONGEST))
