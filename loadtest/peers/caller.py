"""Callers that send one request after the other, as fast as they are answered: a closed loop.

    python -m peers.caller URL[,URL…] BODY --callers 64 --seconds 5

Several URLs share the callers. The generator shares the machine with what it measures, and what it takes, it takes from
the faster side most; so it is as lean as Python allows, and tells how much CPU a request cost it. Each request has an
Idempotency-Key of its own; who does not know the header reads over it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from urllib.parse import urlsplit

import uvloop

WARM_UP = 1.0
"""Seconds whose answers count as accepted, but not as rate."""
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
END = b"\r\n\r\n"


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


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally, prefix: bytes, suffix: bytes) -> None:
        self._tally, self._prefix, self._suffix = tally, prefix, suffix
        self._key, self._number = secrets.token_hex(8).encode(), 0
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(END)
        if not end or len(body) < int(LENGTH.search(head + b"\r\n")[1]):
            return
        now, self._buffer = time.perf_counter(), b""
        self._tally.note(head, self._sent, now)
        if now < self._tally.until:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)
        if error:
            self._tally.others.append(repr(error))

    def _send(self) -> None:
        self._number += 1
        self._sent = time.perf_counter()
        self._transport.write(b"%b%b-%d%b" % (self._prefix, self._key, self._number, self._suffix))


async def call(urls: Sequence[str], body: str, callers: int, seconds: float) -> Tally:
    """Let them send."""
    begun = time.perf_counter() + WARM_UP
    tally = Tally(begun, begun + seconds)
    all_of_them = [await _connected(url, body, tally) for url in islice(cycle(urls), callers)]
    await asyncio.wait_for(asyncio.gather(*(caller.done for caller in all_of_them)), WARM_UP + seconds + 30)
    return tally


async def _connected(url: str, body: str, tally: Tally) -> Caller:
    """One more caller, who sends from now on."""
    parts = urlsplit(url)
    prefix = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nIdempotency-Key: "
    ).encode()
    caller = Caller(tally, prefix, END + body.encode())
    await asyncio.get_running_loop().create_connection(lambda: caller, parts.hostname, parts.port)
    return caller


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
