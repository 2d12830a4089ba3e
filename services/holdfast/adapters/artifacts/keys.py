"""Which keys name an object, in every store alike.

A key becomes a path on a local disk, so it must not lead out of the folder; and it must mean the same object in S3,
so what only one of them takes (`#`, which obstore keeps for files being written) is refused in both.
"""

from __future__ import annotations

MAX_KEY_BYTES = 1024
"""The limit of S3."""
MAX_SEGMENT_BYTES = 240
"""A file name on Linux has at most 255 bytes, of which obstore needs a few while it writes."""


def checked(key: str) -> str:
    """Return the key when it is a plain relative path (`jobs/1/2/invoice.pdf`); raise ValueError saying why not."""
    problem = _problem(key)
    if problem:
        raise ValueError(f"{key!r} cannot name an artifact: it {problem}")
    return key


def _problem(key: str) -> str | None:
    if not key.isprintable():
        return "contains control or invisible characters"
    if "\\" in key or "#" in key:
        return "contains a backslash or a number sign"
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"is longer than {MAX_KEY_BYTES} bytes"
    for segment in key.split("/"):
        if segment in {"", ".", ".."}:
            return "has an empty part, or one that is '.' or '..'"
        if len(segment.encode()) > MAX_SEGMENT_BYTES:
            return f"has a part that is longer than {MAX_SEGMENT_BYTES} bytes"
    return None
