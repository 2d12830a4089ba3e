"""The place of something in a trace, as W3C Trace Context writes it: `00-<trace id>-<parent id>-<flags>`."""

from __future__ import annotations

import re

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def sound(traceparent: str | None) -> str | None:
    """The header as it came, or None when it is not one of version 00: then the trace begins here."""
    return traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None


def trace_id(traceparent: str | None) -> str | None:
    """The id of the trace: 32 hex digits."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match[1] if match else None
