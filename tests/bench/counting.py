"""Counts instead of times: they are the same on a busy machine and on an idle one."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from redis.asyncio.connection import AbstractConnection

from holdfast.adapters.postgres.database import Database, Row
from holdfast.adapters.rabbitmq.message import Content
from holdfast.adapters.rabbitmq.wire import Wire
from holdfast.domain.topology import Route

GREETINGS = (b"HELLO", b"AUTH", b"SELECT", b"CLIENT")


class Instructions:
    """Bytecode instructions of this thread while it is entered: what the interpreter really does."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Instructions:
        gc.collect()
        gc.disable()  # whose finalizers would be counted too, now and then
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)
        gc.enable()

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.count += event == "opcode"
        return self._trace


def instructions_of(work: Callable[[], object], times: int = 20) -> float:
    """Of one call, in the mean of so many, after one that does not count."""
    work()
    with Instructions() as seen:
        for _ in range(times):
            work()
    return seen.count / times


async def instructions_of_each(work: Callable[[int], Awaitable[object]], times: int = 20) -> float:
    """The same for a coroutine; whatever else its event loop runs meanwhile is counted too."""
    await work(0)
    with Instructions() as seen:
        # A task of its own: the frames that are running already are not traced.
        await asyncio.create_task(_all(work, times))
    return seen.count / times


async def _all(work: Callable[[int], Awaitable[object]], times: int) -> None:
    for number in range(times):
        await work(number + 1)


@dataclass
class Trips:
    """What went over the network: each word to a service."""

    statements: list[str] = field(default_factory=list)
    """To PostgreSQL, all of which go through `Database.all`."""
    asked: int = 0
    """To Redis, a pipeline once; without what greets a new connection."""
    messages: Counter[str] = field(default_factory=Counter)
    """To RabbitMQ, by exchange."""

    def clear(self) -> None:
        """Begin anew."""
        self.statements.clear()
        self.asked = 0
        self.messages.clear()

    @property
    def writes(self) -> list[str]:
        """Statements that change something."""
        return [it for it in self.statements if any(verb in it for verb in ("INSERT ", "UPDATE ", "DELETE "))]

    @property
    def reads(self) -> list[str]:
        """Statements that look for jobs."""
        return [it for it in self.statements if it not in self.writes and " jobs " in it]


@contextmanager
def trips(monkeypatch: Any) -> Iterator[Trips]:
    """Count whatever this process says to the services."""
    seen = Trips()
    query, send, publish = Database.all, AbstractConnection.send_packed_command, Wire.publish

    async def statement(self: Database, text: str, *values: Any) -> Sequence[Row]:
        seen.statements.append(" ".join(text.split()))
        return await query(self, text, *values)

    async def command(self: Any, words: Any, *given: Any, **options: Any) -> Any:
        told = words if isinstance(words, bytes) else b"".join(words)
        seen.asked += not any(greeting in told for greeting in GREETINGS)
        return await send(self, words, *given, **options)

    def message(self: Wire, route: Route, content: Content) -> None:
        seen.messages[route.exchange] += 1
        publish(self, route, content)

    with monkeypatch.context() as patched:
        patched.setattr(Database, "all", statement)
        patched.setattr(AbstractConnection, "send_packed_command", command)
        patched.setattr(Wire, "publish", message)
        yield seen
