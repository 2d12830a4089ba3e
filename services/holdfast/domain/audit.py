"""Who did what to the platform, and why: one entry for every action of an operator.

An entry of an action inside the ledger is committed with the action: there is neither without the other, and the
entry is DONE from the start. An action elsewhere (a breaker in Redis, a bulk that takes many transactions) is
written down before it begins, and again when it has ended:

    BEGUN ──▶ DONE      it happened
      └─────▶ FAILED    it raised; a part of it may have happened, as `details` says

    crash                                   what is left
    before BEGUN is committed               nothing was done
    between BEGUN and the action            BEGUN, and nothing was done
    between the action and DONE             BEGUN, and it was done

So an entry that stays BEGUN says "may have happened", and what is not in the table has not. An entry never holds
a payload, a secret or the text of a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from holdfast.domain.tenancy import Caller, Role


class AuditAction(StrEnum):
    """What an operator can do: the thing it is done to, and the deed."""

    JOB_CANCEL = "job.cancel"
    """Only when an operator does it: cancelling a job of one's own tenant with the role `submit` is everyday use."""
    DEAD_LETTER_REPLAY = "dead-letter.replay"
    DEAD_LETTER_DROP = "dead-letter.drop"
    DEAD_LETTERS_REPLAY = "dead-letters.replay"
    """A bulk: one entry, with its filter and its counts."""
    KEY_CREATE = "key.create"
    KEY_REVOKE = "key.revoke"
    BREAKER_OVERRIDE = "breaker.override"
    BREAKER_RELEASE = "breaker.release"
    ENDPOINT_CREATE = "endpoint.create"
    ENDPOINT_CHANGE = "endpoint.change"
    ENDPOINT_DELETE = "endpoint.delete"
    ENDPOINT_ROTATE_SECRET = "endpoint.rotate-secret"  # noqa: S105 - a deed
    ENDPOINT_ENABLE = "endpoint.enable"
    ENDPOINT_DISABLE = "endpoint.disable"
    RECONCILE = "ledger.reconcile"


class AuditOutcome(StrEnum):
    """How far the action came."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and in which role. `key_id` is None on the server's command line and in open development."""

    tenant: str
    name: str
    role: Role
    key_id: UUID | None = None
    address: str | None = None
    """The address that the request came from."""
    request_id: str | None = None
    """Finds the request in the log."""

    @classmethod
    def of(cls, caller: Caller, role: Role) -> Actor:
        """The caller, acting in the role that allowed it."""
        return cls(caller.tenant, caller.name, role, caller.key_id, caller.address, caller.request_id)

    @classmethod
    def on_server(cls, user: str, host: str) -> Actor:
        """Whoever has a shell and the settings of a server, and so may do everything."""
        return cls("(server)", f"{user}@{host}", Role.ADMIN)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action. `id` is a UUIDv7, so entries sort by it; `at` is the store's own time."""

    id: UUID
    actor: Actor
    action: AuditAction
    target: str
    """What it was done to: an id or a name, of the kind of thing that the action names."""
    reason: str | None = None
    """Why, in the operator's words."""
    details: Mapping[str, Any] = field(default_factory=dict)
    outcome: AuditOutcome = AuditOutcome.DONE
    at: datetime | None = None
    """None until it is written."""
