"""How a message goes back: with `basic.nack` when nobody is to blame.

A quorum queue counts a `basic.reject` and a lost consumer against the delivery limit, but not a `basic.nack`. So a
ticket that is given back (shutdown, ledger away) is nacked, a crashed one is rejected and counted, and a dead one
is rejected without requeue, which dead-letters it.
"""

from __future__ import annotations

import logging
from typing import Any

from amqp import spec
from celery.exceptions import Reject
from celery.worker.request import Request, task_ready

log = logging.getLogger(__name__)


def give_back(message: Any, connection_errors: tuple[type[Exception], ...]) -> None:
    """Return a message without spending a delivery. py-amqp has no method for it."""
    try:
        message.channel.send_method(spec.Basic.Nack, "Lbb", (message.delivery_tag, False, True))
    except connection_errors as error:  # it comes back by itself
        log.warning("a message could not be given back: %s", error)
    message._state = "REQUEUED"


class TicketRequest(Request):  # type: ignore[misc]
    """A Celery request for one ticket, in the prefork pool."""

    acknowledged: bool

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        """Take the two ends that the engine asked for out of Celery's failure handling."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if not isinstance(error, Reject):
            return super().on_failure(exc_info, send_failed_event, return_ok)
        task_ready(self)
        if error.requeue:
            return self._give_back()
        return self.reject(requeue=False)

    def _give_back(self) -> None:
        """Return the message without spending a delivery."""
        if self.acknowledged:
            return
        give_back(self.message, self.connection_errors)
        self.acknowledged = True
