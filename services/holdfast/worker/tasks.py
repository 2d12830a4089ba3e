"""The one task: run the attempt that a ticket names, and say what becomes of its message."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from celery import Celery
from celery.exceptions import Reject

from holdfast.adapters.rabbitmq.message import TASK
from holdfast.domain.attempt import Ticket
from holdfast.engine.execute import Disposition
from holdfast.worker.loop import TaskLoop
from holdfast.worker.request import TicketRequest


def register(app: Celery, loop: TaskLoop) -> None:
    """Register the task on `app`, to be run on `loop`."""

    @app.task(name=TASK, bind=True, Request=TicketRequest)  # type: ignore[untyped-decorator]
    def execute(self: Any, job_id: str, attempt: int) -> None:
        match loop.run(_ticket(self.request, job_id, attempt), _kind(self.request)):
            case Disposition.ACK:
                return
            case Disposition.DEAD_LETTER:
                raise Reject("the job is dead", requeue=False)
            case Disposition.GIVE_BACK:
                raise Reject("given back", requeue=True)


def _ticket(request: Any, job_id: str, attempt: int) -> Ticket:
    """The ticket, with the broker's word whether somebody had it before."""
    return Ticket(UUID(job_id), attempt, redelivered=bool((request.delivery_info or {}).get("redelivered")))


def _kind(request: Any) -> str | None:
    kind = (request.headers or {}).get("holdfast-kind")
    return kind if isinstance(kind, str) else None
