"""The event loop of a worker process: slots, turns, and what a draining loop gives back."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import uuid4

import pytest

from harness import eventually
from holdfast.domain.attempt import Ticket
from holdfast.domain.envelope import NO_HINTS
from holdfast.engine.execute import Disposition, Execute
from holdfast.worker.loop import Lifeline, TaskLoop

SLOTS = 2


class Attempts:
    """In place of the engine: attempts run until they are let go."""

    def __init__(self) -> None:
        self.begun: list[Ticket] = []
        self.go = threading.Event()
        self.fails = False

    async def execute(self, ticket: Ticket, _: Any) -> Disposition:
        self.begun.append(ticket)
        while not self.go.is_set():
            await asyncio.sleep(0.005)
        if self.fails:
            raise RuntimeError("a defect")
        return Disposition.ACK


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()


@pytest.fixture
def loop(attempts: Attempts) -> Iterator[TaskLoop]:
    @asynccontextmanager
    async def runtime() -> AsyncIterator[Execute]:
        yield cast(Execute, attempts)

    lifeline = Lifeline()
    lifeline.open()
    running = TaskLoop(runtime, lifeline, slots=SLOTS, grace=0.2, patience=60.0)
    running.start()
    yield running
    attempts.go.set()
    running.stop()


def submit(loop: TaskLoop, tickets: int) -> list[Disposition]:
    ended: list[Disposition] = []
    for _ in range(tickets):
        loop.submit(Ticket(uuid4(), 1), NO_HINTS, ended.append)
    return ended


def test_no_more_attempts_run_at_once_than_there_are_slots_and_none_is_forgotten(
    loop: TaskLoop, attempts: Attempts
) -> None:
    ended = submit(loop, 5)
    eventually(lambda: len(attempts.begun), lambda begun: begun == SLOTS)
    attempts.go.set()
    eventually(lambda: list(ended), lambda all_of_them: all_of_them == [Disposition.ACK] * 5)
    assert loop.run(Ticket(uuid4(), 1), NO_HINTS) is Disposition.ACK


def test_a_draining_loop_gives_back_what_waits_at_once_and_what_runs_after_the_grace(
    loop: TaskLoop, attempts: Attempts
) -> None:
    ended = submit(loop, 5)
    eventually(lambda: len(attempts.begun), lambda begun: begun == SLOTS)
    loop.drain()
    eventually(lambda: list(ended), lambda given_back: given_back == [Disposition.GIVE_BACK] * 5)
    assert len(attempts.begun) == SLOTS
    assert loop.run(Ticket(uuid4(), 1), NO_HINTS) is Disposition.GIVE_BACK


def test_a_ticket_whose_execution_fails_is_dead_lettered_as_it_would_fail_again(
    loop: TaskLoop, attempts: Attempts
) -> None:
    attempts.fails = True
    attempts.go.set()
    assert loop.run(Ticket(uuid4(), 1), NO_HINTS) is Disposition.DEAD_LETTER
