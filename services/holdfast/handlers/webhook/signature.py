"""Standard Webhooks signatures: what a receiver needs to know that a webhook is ours, whole, and fresh.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

    webhook-id:        msg_0190c2f0…         the same for every retry of a webhook; the receiver's idempotency key
    webhook-timestamp: 1700000000            Unix seconds of this attempt
    webhook-signature: v1,K5oZfz…= v1,9fj2…=  one per secret, separated by spaces, while secrets are rotated

A signature is the base64 of HMAC-SHA256, under the secret's bytes, over `<id>.<timestamp>.<body>`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256

PREFIX = "whsec_"
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
"""192 to 512 bits, as the specification asks."""
TOLERANCE = timedelta(minutes=5)
"""How far the timestamp may lie from the receiver's clock, either way."""


class BadSignature(Exception):
    """The webhook must not be trusted; the message says why, and is safe to log."""


def secret_bytes(secret: str) -> bytes:
    """Decode `whsec_<base64 of 24 to 64 bytes>`; raise ValueError (without the secret) saying what is wrong."""
    if not secret.startswith(PREFIX):
        raise ValueError(f"a secret starts with {PREFIX}")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"what follows {PREFIX} is not base64") from None
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(f"a secret has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes, not {len(key)}")
    return key


def sign(message_id: str, timestamp: datetime, body: bytes, secrets: Iterable[str]) -> dict[str, str]:
    """The headers of a webhook; without secrets it stays unsigned and has no `webhook-signature`."""
    seconds = int(timestamp.timestamp())
    headers = {"webhook-id": message_id, "webhook-timestamp": str(seconds)}
    signatures = [_signature(message_id, seconds, body, secret_bytes(secret)) for secret in secrets]
    if signatures:
        headers["webhook-signature"] = " ".join(signatures)
    return headers


def verify(
    headers: Mapping[str, str],
    body: bytes,
    secrets: Iterable[str],
    *,
    now: datetime | None = None,
    tolerance: timedelta = TOLERANCE,
) -> str:
    """Return the webhook's id when one of its signatures was made with one of the secrets; raise BadSignature.

    `body` is the request's bytes as they came, before any parsing. Header names may be in either case. Comparison
    takes constant time, and every signature is compared with every secret. An id that was seen before is a retry:
    answer 2xx without acting again.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    message_id, seconds = lower.get("webhook-id", ""), _seconds(lower.get("webhook-timestamp", ""))
    if not message_id:
        raise BadSignature("there is no webhook-id header")
    age = (now or datetime.now(UTC)).timestamp() - seconds
    if abs(age) > tolerance.total_seconds():
        raise BadSignature(f"webhook-timestamp is {abs(age):.0f} s {'old' if age > 0 else 'ahead'}")
    given = [signature for signature in lower.get("webhook-signature", "").split() if signature.startswith("v1,")]
    if not given:
        raise BadSignature("there is no webhook-signature header with a v1 signature")
    expected = [_signature(message_id, seconds, body, secret_bytes(secret)).encode() for secret in secrets]
    matches = [hmac.compare_digest(own, other.encode(errors="replace")) for own in expected for other in given]
    if not any(matches):
        raise BadSignature("no signature matches: another secret, or a changed body, id or timestamp")
    return message_id


def _signature(message_id: str, seconds: int, body: bytes, key: bytes) -> str:
    content = f"{message_id}.{seconds}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, sha256)).decode()


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise BadSignature("webhook-timestamp is missing or not in Unix seconds")
    return int(text)
