"""The one crossing between Celery's synchronous world and the engine's event loop.

Each process that runs tickets has one loop, in a thread of its own; every ticket of the process runs on it.

Draining. The parent holds the write end of a pipe that all its children read. When it begins to stop, or dies,
the pipe closes: from then on new tickets are given back at once, and running ones when `grace` has passed.

Watching. A handler that blocks the loop cannot be interrupted from inside, and holds up every other job of its
process. When the loop has not turned for `patience` seconds the process is ended: its tickets are redelivered, and the
one that does it again and again meets the delivery limit and is dead-lettered as poisoned.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial

import structlog

from holdfast.domain.attempt import Ticket
from holdfast.domain.envelope import Hints
from holdfast.engine.execute import Disposition, Execute

log = structlog.get_logger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks whether the loop still turns."""


@dataclass(slots=True)
class Lifeline:
    """A pipe whose closing means: stop. Made before any fork."""

    read: int = -1
    write: int = -1

    def open(self) -> None:
        """Make the pipe."""
        self.read, self.write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def keep_reading_end(self) -> None:
        """In a child: let the parent be the only writer."""
        self.cut()

    def cut(self) -> None:
        """Close the write end; when the last one is closed every reader sees it."""
        if self.write >= 0:
            os.close(self.write)
            self.write = -1


@dataclass(frozen=True, slots=True)
class _Asked:
    ticket: Ticket
    hints: Hints
    done: Callable[[Disposition], None]


@dataclass(slots=True, eq=False)
class TaskLoop:
    """Runs tickets on an event loop in a thread, for any number of other threads."""

    runtime: Callable[[], AbstractAsyncContextManager[Execute]]
    lifeline: Lifeline
    slots: int
    """Attempts under way at once; more tickets wait for their turn."""
    grace: float
    """Seconds that running attempts get after the lifeline is cut."""
    patience: float
    """Seconds for which a blocked loop is put up with."""
    new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    _loop: asyncio.AbstractEventLoop | None = None
    _thread: threading.Thread | None = None
    _execute: Execute | None = None
    _waiting: deque[_Asked] = field(default_factory=deque)
    _called: bool = False
    _running: set[asyncio.Task[Disposition]] = field(default_factory=set)
    _draining: bool = False
    _stop: asyncio.Event | None = None
    _failure: BaseException | None = None
    _closed: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Start the thread and wait until the runtime is up; raise what kept it from coming up."""
        up = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(up,), name="holdfast-loop", daemon=True)
        self._thread.start()
        up.wait()
        if self._failure is not None:
            raise self._failure
        threading.Thread(target=self._watch_loop, name="holdfast-watch", daemon=True).start()

    def run(self, ticket: Ticket, hints: Hints) -> Disposition:
        """Run a ticket to its end; blocks."""
        ended: Future[Disposition] = Future()
        self.submit(ticket, hints, ended.set_result)
        return ended.result()

    def submit(self, ticket: Ticket, hints: Hints, done: Callable[[Disposition], None]) -> None:
        """Have a ticket run; `done` is called in the thread of the loop. One wake-up serves all that came meanwhile."""
        if self._loop is None:
            raise RuntimeError("the loop of this process has not been started")
        self._waiting.append(_Asked(ticket, hints, done))
        if not self._called:
            self._called = True
            self._loop.call_soon_threadsafe(self._woken)

    def busy(self) -> int:
        """Tickets that run or wait."""
        return len(self._running) + len(self._waiting)

    def drain(self) -> None:
        """Begin to stop, if that has not begun."""
        self.lifeline.cut()

    def stop(self) -> None:
        """Close the runtime and end the threads."""
        self._closed.set()
        if self._loop is not None and self._stop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(timeout=10.0)

    def _serve(self, up: threading.Event) -> None:
        try:
            with asyncio.Runner(loop_factory=self.new_loop) as runner:
                runner.run(self._main(up))
        except BaseException as error:
            if up.is_set():  # without a loop the process would reject every ticket that it takes
                log.critical("worker_loop_died", exc_info=error)
                os._exit(os.EX_SOFTWARE)
            self._failure = error
        finally:
            up.set()

    def _watch_loop(self) -> None:
        while self._loop is not None and not self._closed.wait(LOOK_EVERY):
            turned = threading.Event()
            try:
                self._loop.call_soon_threadsafe(turned.set)
            except RuntimeError:  # the loop was closed meanwhile
                return
            if not turned.wait(self.patience) and not self._closed.is_set():
                log.critical("worker_loop_blocked", seconds=self.patience, running=len(self._running))
                faulthandler.dump_traceback()
                os._exit(os.EX_SOFTWARE)

    async def _main(self, up: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with self.runtime() as self._execute, self._watching():
            up.set()
            await self._stop.wait()

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_reader(self.lifeline.read, self._drain)
        try:
            yield
        finally:
            loop.remove_reader(self.lifeline.read)

    def _drain(self) -> None:
        """The lifeline is cut."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self.lifeline.read)
        self._draining = True
        log.info("draining", running=len(self._running), grace=self.grace)
        self._begin()
        loop.call_later(self.grace, self._give_back_all)

    def _give_back_all(self) -> None:
        for task in self._running:
            task.cancel()

    def _woken(self) -> None:
        self._called = False  # whoever submits from here on calls again
        self._begin()

    def _begin(self) -> None:
        """Start what waits, as far as there are slots; nothing waits for a loop that drains."""
        while self._waiting and (self._draining or len(self._running) < self.slots):
            asked = self._waiting.popleft()
            if self._draining or self._execute is None:
                asked.done(Disposition.GIVE_BACK)
                continue
            task = asyncio.create_task(self._execute.execute(asked.ticket, asked.hints), context=Context())
            self._running.add(task)
            task.add_done_callback(partial(self._ended, asked))

    def _ended(self, asked: _Asked, task: asyncio.Task[Disposition]) -> None:
        self._running.discard(task)
        asked.done(_disposition(asked, task))
        self._begin()


def _disposition(asked: _Asked, task: asyncio.Task[Disposition]) -> Disposition:
    if task.cancelled():  # before the claim, or while waiting for the ledger
        return Disposition.GIVE_BACK
    error = task.exception()
    if error is None:
        return task.result()
    log.error("ticket_failed", job_id=str(asked.ticket.job_id), attempt=asked.ticket.attempt, exc_info=error)
    return Disposition.DEAD_LETTER
