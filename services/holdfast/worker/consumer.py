"""Celery's consumer, with the two habits changed that would lose messages or make queues of its own.

A message that cannot be decoded is acknowledged by Celery, hence gone; here it is rejected, hence dead-lettered
and filed. And Celery declares 28 delay queues as soon as it sees a quorum queue; waiting happens in our retry queues.

Where the pool is an event loop, tickets are read by `worker.intake`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.consumer.delayed_delivery import DelayedDelivery

from holdfast.worker.intake import Intake

log = logging.getLogger(__name__)


class TicketConsumer(Consumer):  # type: ignore[misc]
    """Consumes tickets."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """Celery's start-up steps but for the delay queues."""

        default_steps = tuple(
            step
            for step in Consumer.Blueprint.default_steps
            if step not in {DelayedDelivery, f"{DelayedDelivery.__module__}:{DelayedDelivery.__name__}"}
        )

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Dead-letter it; its content is not logged."""
        log.warning("a message of type %r cannot be decoded: %s", message.content_type, type(exc).__name__)
        message.reject_log_error(log, self.connection_errors)


class LoopConsumer(TicketConsumer):
    """Consumes tickets for the pool of `worker.pool`."""

    def register_with_event_loop(self, hub: Any) -> None:
        """At every connection: read its tickets."""
        super().register_with_event_loop(hub)
        channel = self.task_consumer.channel
        intake = Intake(channel, partial(self.pool.take_delivery, self))
        hub.add_reader(channel.connection.sock, intake.readable)
        hub.call_soon(intake.catch_up)
