"""Do something for each item at a steady rate, whether or not the ones before are through: an open loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Pace(Generic[T]):
    """Threads that take the items in turn, each when it is due. Make `threads` enough for the rate: an item that finds
    all of them busy begins late."""

    items: Sequence[T]
    rate: float
    do: Callable[[T], None]
    """Called with an item; it must not raise."""
    threads: int = 6
    began: float = field(init=False, default=0.0)
    """When the first item was due, in monotonic seconds."""
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin."""
        self.began = time.monotonic()
        turns, lock = iter(enumerate(self.items)), threading.Lock()
        for _ in range(self.threads):
            thread = threading.Thread(target=self._work, args=(turns, lock), daemon=True)
            thread.start()
            self._threads.append(thread)

    @property
    def busy(self) -> bool:
        """Whether items are left."""
        return any(thread.is_alive() for thread in self._threads)

    def _work(self, turns: Iterator[tuple[int, T]], lock: threading.Lock) -> None:
        while True:
            with lock:
                turn = next(turns, None)
            if turn is None:
                return
            number, item = turn
            time.sleep(max(0.0, self.began + number / self.rate - time.monotonic()))
            self.do(item)
