"""Callers that send one request after the other, as fast as they are answered: a closed loop.

    python -m callers.in_turn URL[,URL…] BODY --callers 64 --seconds 5

Several URLs share the callers. Tells how much CPU a request cost it. Each request has an Idempotency-Key of its own;
who does not know the header reads over it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, cycle, islice

import uvloop

from .exchange import Exchange, around_the_key, connected

WARM_UP = 1.0
"""Seconds whose answers count as accepted, but not as rate."""


@dataclass(slots=True)
class Tally:
    """What was answered."""

    begun: float
    until: float
    accepted: int = 0
    """With 202, all of them."""
    others: list[str] = field(default_factory=list)
    """The first lines of other answers."""
    waits: list[float] = field(default_factory=list)
    """Seconds, of those that were accepted after the warm-up and in time."""

    def note(self, head: bytes, sent: float, now: float) -> None:
        """Count one answer."""
        if head.startswith(b"HTTP/1.1 202 "):
            self.accepted += 1
            if self.begun <= now <= self.until:
                self.waits.append(now - sent)
        else:
            self.others.append(head.partition(b"\r\n")[0].decode(errors="replace"))


async def call(urls: Sequence[str], body: str, callers: int, seconds: float) -> Tally:
    """Let them send."""
    begun = time.perf_counter() + WARM_UP
    tally = Tally(begun, begun + seconds)
    all_of_them = [await _caller(url, body, tally) for url in islice(cycle(urls), callers)]
    ended = asyncio.gather(*(caller.ended for caller in all_of_them))
    tally.others += [repr(error) for error in await asyncio.wait_for(ended, WARM_UP + seconds + 30) if error]
    return tally


async def _caller(url: str, body: str, tally: Tally) -> Exchange:
    """One more caller, who sends from now on."""
    prefix, suffix = around_the_key(url, body)
    name, numbers = secrets.token_hex(8).encode(), count(1)

    def send(exchange: Exchange) -> None:
        exchange.send(b"%b%b-%d%b" % (prefix, name, next(numbers), suffix))

    def answered(exchange: Exchange, head: bytes, _: bytes, sent: float) -> None:
        now = time.perf_counter()
        tally.note(head, sent, now)
        if now < tally.until:
            send(exchange)
        else:
            exchange.close()

    exchange = await connected(url, answered)
    send(exchange)
    return exchange


def main() -> None:
    """See the module; prints JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("urls", type=lambda text: text.split(","))
    parser.add_argument("body")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    tally = uvloop.run(call(given.urls, given.body, given.callers, given.seconds))
    waits = sorted(tally.waits) or [float("inf")]
    print(json.dumps({
        "accepted": tally.accepted,
        "others": len(tally.others),
        "first others": tally.others[:3],
        "a second": len(tally.waits) / given.seconds,
        "caller cpu us": round(1e6 * time.process_time() / max(1, tally.accepted)),
        "p50 ms": 1000 * waits[len(waits) // 2],
        "p99 ms": 1000 * waits[int(len(waits) * 0.99)],
    }))  # fmt: skip


if __name__ == "__main__":
    main()
