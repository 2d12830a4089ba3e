"""What makes two requests the same request.

The fingerprint covers what the client asked for and nothing that the server added, so a retry by another
process at another time has the same one. The IETF draft (draft-ietf-httpapi-idempotency-key-header) leaves
the fingerprint to the server; Stripe compares the parameters, and so do we.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

MAX_KEY_LENGTH = 255
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str).encode


def valid_key(key: str) -> bool:
    """Whether `key` is 1 to 255 visible ASCII characters without spaces."""
    return _KEY.fullmatch(key) is not None


def fingerprint(request: Mapping[str, Any]) -> bytes:
    """SHA-256 over the canonical JSON of the request (sorted keys, no spaces): 32 bytes."""
    return hashlib.sha256(_canonical(request).encode("utf-8", "surrogatepass")).digest()


def differences(first: Mapping[str, Any], second: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """JSON pointers (RFC 6901) of the fields in which two requests differ, without their values."""
    for key in sorted(first.keys() | second.keys()):
        pointer = f"{at}/{key.replace('~', '~0').replace('/', '~1')}"
        one, other = first.get(key), second.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differences(one, other, pointer)
        elif key not in first or key not in second or _canonical(one) != _canonical(other):
            yield pointer


def _canonical(value: Any) -> str:
    """JSON in one form; unlike Python it tells 1, 1.0 and true apart, as the fingerprint must."""
    return _ENCODE(value)
