"""Entries of the audit trail, as tests make them."""

from __future__ import annotations

import secrets
from typing import Any

from holdfast.domain.audit import Actor, AuditAction, AuditEntry
from holdfast.domain.tenancy import Role
from holdfast.ports.clock import SystemClock

CLOCK = SystemClock()


def make_entry(action: AuditAction = AuditAction.DEAD_LETTER_REPLAY, **changes: Any) -> AuditEntry:
    """An entry of its own, by an actor of its own unless one is given."""
    values: dict[str, Any] = {
        "id": CLOCK.new_id(),
        "actor": Actor("acme", f"on-call-{secrets.token_hex(4)}", Role.OPERATE, CLOCK.new_id(), "192.0.2.7", "req-1"),
        "action": action,
        "target": secrets.token_hex(8),
        "reason": "the receiver is back",
        "details": {"kind": "webhook.dispatch"},
    }
    return AuditEntry(**values | changes)
