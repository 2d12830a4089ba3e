"""The one task: run the attempt that a ticket names, and say what becomes of its message.

In the prefork pool it is a Celery task as any other. In the pool of `worker.pool` its body never runs: the strategy
hands its messages to the event loop.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.exceptions import Reject

from holdfast.adapters.rabbitmq.message import TASK
from holdfast.engine.execute import Disposition
from holdfast.worker.celery_app import Pool
from holdfast.worker.loop import TaskLoop
from holdfast.worker.pool import strategy
from holdfast.worker.request import TicketRequest
from holdfast.worker.ticket import hints_of, ticket_of


def register(app: Celery, loop: TaskLoop, served: Pool) -> None:
    """Register the task on `app`, to be run on `loop`."""
    how: dict[str, Any] = {"Request": TicketRequest} if served.forks else {"Strategy": staticmethod(strategy)}

    @app.task(name=TASK, bind=True, **how)  # type: ignore[untyped-decorator]
    def execute(self: Any, job_id: str, attempt: int) -> None:
        match loop.run(ticket_of(self.request, job_id, attempt), hints_of(self.request)):
            case Disposition.ACK:
                return
            case Disposition.DEAD_LETTER:
                raise Reject("the job is dead", requeue=False)
            case Disposition.GIVE_BACK:
                raise Reject("given back", requeue=True)
