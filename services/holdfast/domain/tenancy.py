"""Who is asking: a tenant, through an API key, in some roles."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

DEFAULT_TENANT = "default"
KEY_PREFIX = "hf_"
"""Starts every key, so that one which leaked can be found by a scanner."""


class Role(StrEnum):
    """What a key may do."""

    SUBMIT = "submit"
    """Submit and cancel jobs, upload sources."""
    READ = "read"
    """Read jobs, attempts, artifacts and dead letters of its tenant."""
    OPERATE = "operate"
    """Replay and drop dead letters, cancel jobs, override breakers, read the audit trail: of all tenants.

    And make and change the webhook endpoints of its own tenant.
    """
    ADMIN = "admin"
    """Make, list and revoke API keys, of all tenants and roles: whoever has it can give itself every other."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller, and where its request came from. `name` is the key's name, for the audit trail."""

    tenant: str
    name: str
    roles: frozenset[Role]
    key_id: UUID | None = None
    address: str | None = None
    request_id: str | None = None


def new_key() -> str:
    """A new key: 256 bits of chance. Shown once; only its digest is kept."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def key_prefix(key: str) -> str:
    """What a key is recognised by: its first six characters of chance, which leaves a guesser the other 220 bits."""
    return key[: len(KEY_PREFIX) + 6]


def key_digest(key: str) -> bytes:
    """What is kept of a key: SHA-256, 32 bytes. A key is random, so a plain hash is as good as a slow one."""
    return hashlib.sha256(key.encode()).digest()
