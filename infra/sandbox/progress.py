"""One line a step, with its duration, printed when the step ends (and while it runs, on a terminal)."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_printing = threading.Lock()


class Step:
    """A running step; its text may be changed until it is printed."""

    def __init__(self, text: str) -> None:
        self.text = text


def say(text: str) -> None:
    """Print a line that has no duration."""
    with _printing:
        print(f"         {text}", flush=True)


@contextmanager
def step(text: str) -> Iterator[Step]:
    """Time the block and print `text` when it succeeds; a failing block prints nothing, its error speaks."""
    running = Step(text)
    began = time.monotonic()
    yield running
    with _printing:
        print(f"{time.monotonic() - began:6.1f} s {running.text}", flush=True)


@contextmanager
def ticker(line: Callable[[], str], every: float = 0.5) -> Iterator[None]:
    """Redraw `line()` in place while the block runs; silent when the output is not a terminal."""
    if not sys.stdout.isatty():
        yield
        return
    ended = threading.Event()

    def draw() -> None:
        while not ended.wait(every):
            print(f"\r         {line()}", end="\x1b[K", flush=True)

    drawer = threading.Thread(target=draw, daemon=True)
    drawer.start()
    try:
        yield
    finally:
        ended.set()
        drawer.join()
        print("\r\x1b[K", end="", flush=True)
