"""Carry out an action that the ledger cannot commit, with its entry in the audit trail around it.

BEGUN is committed first, so an action without an entry cannot be; where that fails, nothing is done. What a crash at
each point leaves is told in `domain.audit`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog

from holdfast.domain.audit import AuditEntry, AuditOutcome
from holdfast.domain.errors import Unavailable
from holdfast.ports.audit import Audit

log = structlog.get_logger(__name__)


@asynccontextmanager
async def audited(audit: Audit, entry: AuditEntry) -> AsyncIterator[dict[str, Any]]:
    """Record the entry, run the block, record how it ended. The block may add to the details that it is given.

    Raise LedgerUnavailable before the block when the entry cannot be written. Afterwards it is only logged: the
    action happened, and its entry stays BEGUN.
    """
    details = dict(entry.details)
    await audit.record(replace(entry, outcome=AuditOutcome.BEGUN))
    try:
        yield details
    except BaseException as error:
        await _end(audit, entry, AuditOutcome.FAILED, details | {"error": type(error).__name__})
        raise
    await _end(audit, entry, AuditOutcome.DONE, details)


async def _end(audit: Audit, entry: AuditEntry, outcome: AuditOutcome, details: dict[str, Any]) -> None:
    try:
        await audit.end(entry.id, outcome, details)
    except Unavailable as error:
        about = {"entry": str(entry.id), "action": entry.action.value, "outcome": outcome.value}
        log.warning("audit_not_ended", **about, why=str(error))
