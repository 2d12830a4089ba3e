"""What a job must get past before anything is done for it: before its payload is validated, and before any write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.domain.request import JobRequest
from holdfast.engine.backlog_bound import BacklogBound
from holdfast.engine.outbox_bound import OutboxBound


@dataclass(frozen=True, slots=True)
class Admission:
    """The bounds of the platform. Those of the caller are `engine.meter`'s."""

    outbox: OutboxBound
    backlog: BacklogBound

    def check(self, request: JobRequest, queue: str, now: datetime) -> None:
        """Raise NotAdmitted when there is no room for the job."""
        self.outbox.check()
        due_at = request.due_at(now)
        self.backlog.check(queue, request.priority, due_at - now if due_at else timedelta(0))
