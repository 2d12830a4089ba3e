"""The one task: run the attempt that a ticket names, and say what becomes of its message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from celery import Celery
from celery.exceptions import Reject

from holdfast.adapters.rabbitmq.message import TASK
from holdfast.domain.attempt import Ticket
from holdfast.domain.envelope import Hints
from holdfast.domain.topology import wait_of
from holdfast.engine.execute import Disposition
from holdfast.worker.loop import TaskLoop
from holdfast.worker.request import TicketRequest


def register(app: Celery, loop: TaskLoop) -> None:
    """Register the task on `app`, to be run on `loop`."""

    @app.task(name=TASK, bind=True, Request=TicketRequest)  # type: ignore[untyped-decorator]
    def execute(self: Any, job_id: str, attempt: int) -> None:
        match loop.run(_ticket(self.request, job_id, attempt), hints(self.request)):
            case Disposition.ACK:
                return
            case Disposition.DEAD_LETTER:
                raise Reject("the job is dead", requeue=False)
            case Disposition.GIVE_BACK:
                raise Reject("given back", requeue=True)


def _ticket(request: Any, job_id: str, attempt: int) -> Ticket:
    """The ticket, with the broker's word whether somebody had it before."""
    return Ticket(UUID(job_id), attempt, redelivered=bool((request.delivery_info or {}).get("redelivered")))


def hints(request: Any) -> Hints:
    """What the message says beside its ticket, as far as it makes sense."""
    headers, delivery = request.headers or {}, request.delivery_info or {}
    text = {name: value for name, value in headers.items() if isinstance(value, str)}
    return Hints(
        kind=text.get("holdfast-kind"),
        idempotency_key=text.get("idempotency-key"),
        traceparent=text.get("traceparent"),
        ready_at=_ready_at(text.get("enqueued-at"), str(delivery.get("routing_key"))),
    )


def _ready_at(enqueued_at: str | None, routing_key: str) -> datetime | None:
    try:
        return datetime.fromisoformat(enqueued_at or "").astimezone(UTC) + wait_of(routing_key)
    except (ValueError, OverflowError):
        return None
