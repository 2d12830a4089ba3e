"""The pool of worker-webhook: every ticket is a task on the one event loop of the process, and none has a thread.

Celery calls a pool with a function to run in a thread or a child, traces it, and wants its result. A ticket needs
nothing of that: it goes from the consumer to the loop, and what becomes of its message comes back.

    consumer's thread                                        thread of the loop
    message ──► read the ticket ──► loop.submit ───────────► the attempt, from claim to settlement
    ack, reject or nack ◄── hub.call_soon, once for many ◄── its disposition

Invariants. The channel is used by the consumer's thread alone, for py-amqp's are not thread-safe. A message is
acknowledged when its attempt has been settled, and never before. While the worker stops, the thread that consumed
goes on turning the hub until every ticket has been ended: within the grace by themselves, then given back.

    crash after …      what happens
    taking             the message is redelivered
    the settlement     the same: its ticket is refused as settled
    the broker's loss  tickets that run are settled; their acknowledgements fail, and the redeliveries are refused

Celery's own way to revoke a task is not obeyed here: it would acknowledge the message of a job that the ledger has as
queued. Jobs are cancelled through the api, and `engine.vigil` ends what runs.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from functools import partial
from typing import Any, ClassVar

from celery.concurrency.base import BasePool
from kombu.asynchronous import Hub

from holdfast.adapters.rabbitmq.delivery import Delivery
from holdfast.adapters.rabbitmq.message import TASK
from holdfast.engine.execute import Disposition
from holdfast.worker.answers import answer
from holdfast.worker.loop import TaskLoop
from holdfast.worker.ticket import hints_of, ticket_of

log = logging.getLogger(__name__)


class TicketPool(BasePool):  # type: ignore[misc]
    """A pool for Celery's worker; `on` makes one for a loop."""

    loop: ClassVar[TaskLoop]
    signal_safe = False
    hub: Hub

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._under_way = 0
        self._ended: deque[tuple[Any, Any, int, Disposition]] = deque()
        self._called = False

    @classmethod
    def on(cls, loop: TaskLoop) -> type[TicketPool]:
        """The class for Celery to instantiate."""
        return type(cls.__name__, (cls,), {"loop": loop})

    def register_with_event_loop(self, hub: Hub) -> None:
        """Celery tells which hub the consumer's thread turns; at every connection."""
        self.hub = hub

    def take(self, consumer: Any, message: Any) -> None:
        """Start on a message, or dead-letter what is no ticket. Raises what cannot be decoded."""
        try:
            self._start(consumer, message)
        except (TypeError, ValueError, AttributeError) as error:
            log.warning("a message is no ticket: %s", type(error).__name__)
            message.reject_log_error(log, consumer.connection_errors)

    def take_delivery(self, consumer: Any, delivery: Delivery) -> bool:
        """Start on a delivery; False for one that is no ticket."""
        if delivery.headers.get("task") != TASK:
            return False
        try:
            self._start(consumer, delivery)
        except (TypeError, ValueError, AttributeError):
            return False
        return True

    def on_stop(self) -> None:
        """Turn the hub until every ticket has been ended and its message answered."""
        self.loop.drain()
        while self._under_way:
            self.hub.run_once()  # type: ignore[no-untyped-call]

    def _start(self, consumer: Any, message: Any) -> None:
        (arguments, _, _) = message.payload
        ticket, hints = ticket_of(message, *arguments), hints_of(message)
        self._under_way += 1
        end = partial(self._end, consumer, message.channel, message.delivery_tag)
        self.loop.submit(ticket, hints, end)

    def _end(self, consumer: Any, channel: Any, tag: int, disposition: Disposition) -> None:
        """In the loop's thread: have the consumer's thread answer."""
        self._ended.append((consumer, channel, tag, disposition))
        if not self._called:
            self._called = True
            self.hub.call_soon(self._answer)  # type: ignore[no-untyped-call]

    def _answer(self) -> None:
        self._called = False  # whoever ends from here on calls again
        answers = defaultdict[tuple[Any, Any], list[tuple[int, Disposition]]](list)
        while self._ended:
            consumer, channel, tag, disposition = self._ended.popleft()
            self._under_way -= 1
            answers[consumer, channel].append((tag, disposition))
        for (consumer, channel), together in answers.items():
            answer(channel, together, consumer.connection_errors)


def strategy(_task: Any, _app: Any, consumer: Any, **_: Any) -> Any:
    """How Celery's consumer starts on a message of the task: hand it to the pool, without a request or a trace."""

    def on_message(message: Any, *_: Any) -> None:
        consumer.pool.take(consumer, message)

    return on_message
