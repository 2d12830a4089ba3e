"""Hand over many jobs, and print how many were taken: python -m stacks.fill celery_stack COUNT KIND PAYLOAD

`"{n}"` in the payload becomes the number of the job.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SENDERS = 4
"""Threads of a producer that blocks."""
AT_ONCE = 100
"""Messages on their way, of one that does not."""


def main(stack: str, count: int, kind: str, payload: str) -> None:
    """See the module."""
    module = importlib.import_module(f"stacks.{stack}")
    jobs = (json.loads(payload.replace('"{n}"', str(number))) for number in range(count))
    print(asyncio.run(_wait_for_each(module, kind, jobs)) if hasattr(module, "running") else _send(module, kind, jobs))


def _send(module: Any, kind: str, jobs: Any) -> int:
    with ThreadPoolExecutor(SENDERS) as pool:
        return sum(1 for _ in pool.map(lambda payload: module.hand_over(kind, payload), jobs))


async def _wait_for_each(module: Any, kind: str, jobs: Any) -> int:
    taken = 0

    async def sender() -> None:
        nonlocal taken
        for payload in jobs:
            await module.hand_over(kind, payload)
            taken += 1

    async with module.running():
        await asyncio.gather(*(sender() for _ in range(AT_ONCE)))
    return taken


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
