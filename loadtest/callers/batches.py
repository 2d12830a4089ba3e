"""Callers that send a batch of a thousand jobs when they have the answer to the last: a closed loop.

    python -m callers.batches URL RUN JOB --callers 4 --seconds 10

Each job has a key `RUN-<batch>-<number>`. Prints `when accepted milliseconds` of each answer, as `batch.js` logs it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from itertools import count
from urllib.parse import urlsplit

import uvloop

from .exchange import END, Exchange, connected

JOBS = 1_000
BATCH = b"00000000"
"""What stands for the number of the batch in the body that is made once."""
ACCEPTED = b'"status":202'


async def call(url: str, run: str, job: dict[str, object], callers: int, seconds: float) -> None:
    """Let them send; print what came."""
    jobs = [{**job, "idempotency_key": f"{run}-{BATCH.decode()}-{number}"} for number in range(JOBS)]
    body = json.dumps({"jobs": jobs}, separators=(",", ":")).encode()
    parts, numbers = urlsplit(url), count(1)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}"
    ).encode()
    until = time.perf_counter() + seconds

    def send(exchange: Exchange) -> None:
        exchange.send(head + END + body.replace(BATCH, b"%08d" % next(numbers)))

    def answered(exchange: Exchange, head: bytes, body: bytes, sent: float) -> None:
        now = time.perf_counter()
        print(f"{1000 * time.time():.0f} {body.count(ACCEPTED)} {1000 * (now - sent):.2f}")
        if not head.startswith(b"HTTP/1.1 207 ") or body.count(ACCEPTED) != JOBS:
            raise SystemExit(f"not all of a batch was accepted: {head.splitlines()[0].decode()}")
        if now < until:
            send(exchange)
        else:
            exchange.close()

    exchanges = [await connected(url, answered) for _ in range(callers)]
    for exchange in exchanges:
        send(exchange)
    await asyncio.wait_for(asyncio.gather(*(exchange.ended for exchange in exchanges)), seconds + 60)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("run")
    parser.add_argument("job", type=json.loads)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    uvloop.run(call(given.url, given.run, given.job, given.callers, given.seconds))


if __name__ == "__main__":
    main()
