"""Download links that carry their own permission: a path, an expiry, and an HMAC over both.

For stores that cannot presign by themselves. The link works for anyone who has it, until it expires, so it must
not be logged with its query. The key is the process's signing key; a new key voids every link at once.
"""

from __future__ import annotations

import hmac
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import urlencode


def sign(path: str, expires: datetime, key: bytes) -> str:
    """The query to append to `path`: `expires=<unix seconds>&signature=<64 hex digits>`."""
    at = int(expires.timestamp())
    return urlencode({"expires": at, "signature": _signature(path, at, key)})


def verify(path: str, expires: str, signature: str, key: bytes, now: datetime) -> bool:
    """Whether the query's two values permit `path` at `now`. Takes them as they came, in constant time."""
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 12 and signature.isascii()):
        return False
    genuine = hmac.compare_digest(_signature(path, int(expires), key), signature)
    return genuine and now.astimezone(UTC).timestamp() < int(expires)


def _signature(path: str, expires: int, key: bytes) -> str:
    """HMAC-SHA256 over a message that no other use of the key has: its purpose, the expiry, the path."""
    return hmac.new(key, f"holdfast download\n{expires}\n{path}".encode(), sha256).hexdigest()
