"""So many requests a second, evenly, whatever becomes of the answers: a slow answer does not slow the load down.

    python -m callers.open_loop URL RUN --rate 500 --seconds 20 < jobs.json

Standard input is a list of jobs, which are sent in turn, each under a key `RUN-<number>`. Prints `when status
milliseconds` of each answer, as the k6 scripts log it, `when` in milliseconds since the epoch; 0 is the status of a
request that got no answer. An answer's time begins when its request was due, so a generator that is late makes its
figures worse, never better. While all callers wait for answers a request is not sent; standard error says how many
were not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence

import uvloop

from .exchange import Exchange, around_the_key, connected

PATIENCE = 15.0
"""Seconds for which an answer is waited for."""
LOOK = 0.01
IDLE = 3.0
"""Seconds after which a connection that nobody needed is not used again: the server may be closing it."""
Line = tuple[float, int, float]


class OpenLoop:
    """The connection that was free last is taken first, so those that are not needed are closed by the server."""

    def __init__(self, url: str, run: str, jobs: Sequence[object], callers: int) -> None:
        self._url, self._run, self._callers = url, run.encode(), callers
        self._around = [around_the_key(url, json.dumps(job)) for job in jobs]
        self._free: list[tuple[Exchange, float]] = []
        self._due: dict[Exchange, float] = {}
        self._connecting = set[asyncio.Task[None]]()
        self.unsent = 0
        self.lines: list[Line] = []

    async def offer(self, rate: float, seconds: float) -> None:
        """Send, and wait for the last answers."""
        begun, total = time.perf_counter(), round(rate * seconds)
        for number in range(total):
            due = begun + number / rate
            if due > time.perf_counter():
                await asyncio.sleep(due - time.perf_counter())
            self._send(number, due)
        for _ in range(round(PATIENCE / LOOK)):
            if not self._due and not self._connecting:
                break
            await asyncio.sleep(LOOK)
        self.lines += [(time.time(), 0, 1000 * (time.perf_counter() - due)) for due in self._due.values()]

    def _send(self, number: int, due: float) -> None:
        prefix, suffix = self._around[number % len(self._around)]
        request = b"%b%b-%d%b" % (prefix, self._run, number, suffix)
        while self._free:
            exchange, since = self._free.pop()
            if since > time.perf_counter() - IDLE:
                self._due[exchange] = due
                exchange.send(request)
                return
        if len(self._due) + len(self._connecting) >= self._callers:
            self.unsent += 1
            return
        connecting = asyncio.create_task(self._connect(request, due))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    async def _connect(self, request: bytes, due: float) -> None:
        try:
            exchange = await connected(self._url, self._answered)
        except OSError:
            self.lines.append((time.time(), 0, 1000 * (time.perf_counter() - due)))
            return
        self._due[exchange] = due
        exchange.send(request)

    def _answered(self, exchange: Exchange, head: bytes, *_: object) -> None:
        self.lines.append((time.time(), _status(head), 1000 * (time.perf_counter() - self._due.pop(exchange))))
        self._free.append((exchange, time.perf_counter()))


def _status(head: bytes) -> int:
    """A refusal that does not say when to come again is an answer that nothing allows."""
    status = int(head.split(b" ", 2)[1])
    return status if status not in {429, 503} or b"\r\nretry-after: " in head.lower() else -status


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("run")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--callers", type=int, default=300)
    given = parser.parse_args()
    loop = OpenLoop(given.url, given.run, json.load(sys.stdin), given.callers)
    uvloop.run(loop.offer(given.rate, given.seconds))
    for at, status, milliseconds in loop.lines:
        print(f"{1000 * at:.0f} {status} {milliseconds:.2f}")
    print(loop.unsent, file=sys.stderr)


if __name__ == "__main__":
    main()
