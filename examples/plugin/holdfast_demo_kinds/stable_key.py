"""One name for one effect: what a downstream needs to recognise a repeated request."""

from __future__ import annotations

from hashlib import sha256

from holdfast.ports.handler import Context


def stable_key(context: Context) -> str:
    """40 hex digits that are the same for every attempt and every replay of the job, and for no other job.

    Clients choose idempotency keys freely, so two tenants may choose the same: the tenant is part of the name.
    """
    return sha256(f"{context.kind}\n{context.tenant}\n{context.idempotency_key}".encode()).hexdigest()[:40]
