"""Post the orders at a steady rate, whatever breaks; re-post keys of accepted ones meanwhile; cancel some.

A caller knows two apis. When one gives no answer it goes to the other with the same key, until it has an answer.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from holdfast.client import Holdfast
from holdfast.client.errors import ClientError, ProblemError
from holdfast.client.models import Job, JobRequest
from holdfast.client.patience import Patience

from .faults import Fault
from .orders import Fate, Order

T = TypeVar("T")
GIVE_UP = 180.0
"""Seconds after which an order counts as one that could not be submitted."""
RECENT = 5.0
"""A re-post within so many seconds of a fault is counted for that fault."""
PATIENCE = Patience(total=4.0, per_request=4.0)


@dataclass(slots=True)
class Caller:
    """Calls whichever api answers."""

    urls: Sequence[str]
    draw: random.Random
    retries: int = 0
    """Calls that had to be made again, at the other api."""
    _clients: list[Holdfast] = field(init=False)

    def __post_init__(self) -> None:
        self._clients = [Holdfast(url, patience=PATIENCE) for url in self.urls]
        self.draw.shuffle(self._clients)

    def call(self, do: Callable[[Holdfast], T]) -> T:
        """The answer; a refusal that is about the request itself is raised at once."""
        end = time.monotonic() + GIVE_UP
        for client in itertools.cycle(self._clients):
            try:
                return do(client)
            except ProblemError as refusal:
                if refusal.status < 500 and refusal.status not in {409, 429}:
                    raise
                if time.monotonic() > end:
                    raise
            except ClientError:
                if time.monotonic() > end:
                    raise
            self.retries += 1
            time.sleep(0.2)
        raise AssertionError("unreachable")

    def submit(self, order: Order) -> Job:
        """Post one order under its key."""
        return self.call(
            lambda client: client.submit(
                order.kind, order.payload, key=order.key, priority=order.priority, delay=order.delay
            )
        )


@dataclass(slots=True)
class Reposts:
    """What became of keys that were posted again. `wrong` names the answers that were not the first job."""

    asked: int = 0
    same: int = 0
    after: Counter[Fault] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Submitter:
    """Threads that submit, and threads that re-post."""

    urls: Sequence[str]
    orders: Sequence[Order]
    rate: float
    seed: int
    faults: Callable[[], Sequence[tuple[float, Fault]]]
    accepted: dict[int, str] = field(default_factory=dict)
    """Job ids by the number of the order, as first answered."""
    refused: list[str] = field(default_factory=list)
    reposts: Reposts = field(default_factory=Reposts)
    retries: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, submitting: int = 6, reposting: int = 2) -> None:
        """Begin."""
        begin, numbered = time.monotonic(), iter(list(enumerate(self.orders)))
        for index in range(submitting):
            self._run(self._submit, begin, numbered, random.Random(f"{self.seed}/submit/{index}"))
        for index in range(reposting):
            threading.Thread(
                target=self._repost, args=(random.Random(f"{self.seed}/repost/{index}"),), daemon=True
            ).start()

    @property
    def busy(self) -> bool:
        """Whether orders are left."""
        return any(thread.is_alive() for thread in self._threads)

    def stop_reposting(self) -> None:
        """End the re-posts."""
        self._over.set()

    def repost_all(self) -> Reposts:
        """Post every accepted order once more, in batches, and compare."""
        caller, found = Caller(self.urls, random.Random(self.seed)), Reposts()
        orders = [order for order in self.orders if order.number in self.accepted]
        for start in range(0, len(orders), 500):
            some = orders[start : start + 500]
            requests = [
                JobRequest(
                    kind=order.kind,
                    payload=order.payload,
                    priority=order.priority,
                    delay=order.delay,
                    idempotency_key=order.key,
                )
                for order in some
            ]
            outcomes = caller.call(lambda client, requests=requests: client.batch(requests))
            for order, outcome in zip(some, outcomes, strict=True):
                self._compare(found, order, outcome.job.id if outcome.job else f"status {outcome.status}")
        return found

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _submit(self, begin: float, numbered: object, draw: random.Random) -> None:
        caller = Caller(self.urls, draw)
        while True:
            with self._lock:
                turn, order = next(numbered, (0, None))  # type: ignore[call-overload]
            if order is None:
                break
            time.sleep(max(0.0, begin + turn / self.rate - time.monotonic()))
            try:
                job = caller.submit(order)
                self.accepted[order.number] = job.id
                if order.fate is Fate.CANCELLED:
                    caller.call(lambda client, job=job: client.cancel(job.id))
            except ClientError as error:
                self.refused.append(f"{order.key}: {error}")
        with self._lock:
            self.retries += caller.retries

    def _repost(self, draw: random.Random) -> None:
        caller = Caller(self.urls, draw)
        by_number = {order.number: order for order in self.orders}
        while not self._over.wait(0.08):
            known = list(self.accepted)
            if not known:
                continue
            recent = known[-300:] if draw.random() < 0.5 else known
            order = by_number[draw.choice(recent)]
            try:
                answer = caller.submit(order)
            except ClientError as error:
                self.reposts.wrong.append(f"{order.key}: {error}")
                continue
            self._compare(self.reposts, order, answer.id)

    def _compare(self, found: Reposts, order: Order, answer: str) -> None:
        first, now = self.accepted[order.number], time.monotonic()
        with self._lock:
            found.asked += 1
            found.same += answer == first
            for fault in {fault for at, fault in self.faults() if 0 <= now - at < RECENT}:
                found.after[fault] += 1
            if answer != first:
                found.wrong.append(f"{order.key}: first {first}, now {answer}")
