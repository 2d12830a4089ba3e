"""Why a job died. The reasons are a closed set, so that metrics, filters and runbooks can name each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class DeadReason(StrEnum):
    """The reason a message reached the dead letters."""

    EXHAUSTED = "exhausted"
    """Every attempt failed."""
    REJECTED = "rejected"
    """The job can never succeed: its input is wrong, or its receiver said so."""
    POISONED = "poisoned"
    """It crashed its worker as often as the delivery limit allows."""
    TIMED_OUT = "timed_out"
    """Its last attempt ran past its time limit and was killed."""
    EXPIRED = "expired"
    """It had not started by its deadline, was parked then, or was parked for too long."""
    UNPARSEABLE = "unparseable"
    """The message was not one of ours, or names a job that the ledger does not know."""


VARYING = re.compile(r"https?://\S+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27,}|(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|\d+(?:\.\d+)*")
"""The parts of a message that differ between equal failures: addresses, ids, quoted names, numbers.

An apostrophe within a word (`didn't`) quotes nothing.
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the ledger keeps it and a person reads it: no secrets, no payload."""

    reason: DeadReason | None
    """Set when the failure ended the job; None for an attempt that will be retried."""
    error: str
    """The stable name of the error, such as `NotAnImage` or `ConnectTimeout`."""
    message: str
    """One or two sentences: what failed and why."""
    traceback: str | None = None
    """For surprises only; shown to operators, never to clients."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message that the broker dead-lettered, as archived. `id` is the archive's own (UUIDv7)."""

    id: UUID
    job_id: UUID | None
    attempt: int | None
    tenant: str | None
    kind: str | None
    reason: DeadReason
    error: str
    message: str
    attempts: int
    headers: Mapping[str, Any]
    body: bytes
    died_at: datetime
    replayed_at: datetime | None = None
    dropped_at: datetime | None = None
    dropped_by: str | None = None
    drop_reason: str | None = None

    @property
    def fingerprint(self) -> str:
        """Equal for equal failures of one kind: 16 hex digits over what does not vary from job to job."""
        same = "\n".join((self.kind or "", self.reason, self.error, VARYING.sub("…", self.message)))
        kept = same.encode("utf-8", "replace").replace(b"\x00", b"\xef\xbf\xbd")  # as the archive keeps the text
        return hashlib.sha256(kept).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    """Equal failures, with the newest one's words."""

    fingerprint: str
    kind: str | None
    reason: DeadReason
    error: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message of the dead-letter queue; `job_id` and `attempt` are None when it is not a ticket of ours."""

    job_id: UUID | None
    attempt: int | None
    death: str | None
    """RabbitMQ's own word, from `x-first-death-reason`: rejected, delivery_limit, expired, maxlen."""
    headers: Mapping[str, Any]
    body: bytes
