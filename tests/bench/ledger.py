"""What a ledger of a million jobs costs: the same work on it and on an empty one, in one interleaved run.

Two databases of their own, one of them filled with a past (`bench.ledger_side`). The two take turns, in an order that
changes, with the statements that the platform uses:

    enqueue    jobs are accepted, a hundred to a statement, and their outbox rows deleted as after their confirms
    settle     they are claimed and settled, a hundred to a statement

In the end the oldest of the filled one are forgotten, as the steward does it when they have been kept long enough.

`make bench-ledger` runs it. The ratio is that of the rates, full to empty: 1 means that a million jobs cost nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
from contextlib import ExitStack

from bench.ledger_side import Side
from conftest import SERVICES
from holdfast.engine.retain import BATCH
from own_database import own_settings


async def measure(empty: Side, full: Side, jobs: int, rounds: int, groups: int) -> None:
    """Fill, take turns, report."""
    await full.fill(jobs)
    for number in range(rounds + 1):
        for side in random.sample((empty, full), 2):
            await side.round(groups)
        if not number:  # the first one warms up
            for side in (empty, full):
                side.enqueued.clear(), side.settled.clear()
    for what, times in (("enqueue", (empty.enqueued, full.enqueued)), ("settle", (empty.settled, full.settled))):
        quick = [statistics.quantiles(one, n=4)[0] for one in times]
        middle = [statistics.median(one) for one in times]
        print(
            f"{what:<8} empty {1 / quick[0]:>7.0f}/s   {jobs:,} jobs {1 / quick[1]:>7.0f}/s   "
            f"ratio {quick[0] / quick[1]:.3f} (by the median {middle[0] / middle[1]:.3f})"
        )
    print(f"forget   {1 / await full.forget():>13.0f}/s, {BATCH} to a statement")
    print(f"updates without an index entry: {await full.updates()}")
    await empty.database.close()
    await full.database.close()


def main() -> None:
    """Run it against the PostgreSQL of the environment."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--jobs", type=int, default=1_000_000, help="of the full ledger")
    arguments.add_argument("--rounds", type=int, default=30)
    arguments.add_argument("--groups", type=int, default=5, help="statements of each kind in a round")
    asked = arguments.parse_args()
    services = {name: os.environ[name] for name in SERVICES}
    with ExitStack() as stack:
        empty, full = (
            Side(stack.enter_context(own_settings(services)).postgres_url.get_secret_value()) for _ in range(2)
        )
        asyncio.run(measure(empty, full, asked.jobs, asked.rounds, asked.groups))


if __name__ == "__main__":
    main()
