"""Who is asking: a tenant, through an API key, in some roles."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_TENANT = "default"


class Role(StrEnum):
    """What a key may do."""

    SUBMIT = "submit"
    """Submit and cancel jobs, upload sources."""
    READ = "read"
    """Read jobs, attempts, artifacts, dead letters and statistics of its tenant."""
    OPERATE = "operate"
    """Replay and drop dead letters, override breakers; all tenants."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. `name` is the key's name, for the audit trail."""

    tenant: str
    name: str
    roles: frozenset[Role]
