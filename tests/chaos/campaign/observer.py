"""The outside: a web server that takes webhooks, and remembers each arrival by the number of its order.

It is a process of its own that nothing in the campaign kills. The body says how it shall behave:

    {"order": 7, "hold": 0.05, "fail": 2, "answer": 410}

hold: seconds until it answers; fail: answer 503 so often before the first 204; answer: always this status.
An arrival that is answered 204 counts as acted upon when it arrives, whether or not the sender waits for the answer.

    GET /seen   {"7": [["msg_…", 503], ["msg_…", 204]], …}     every arrival: webhook-id and answer
    GET /count  {"arrivals": 2, "taken": 1}
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict

from aiohttp import web

TAKEN = 204


class Observer:
    """Counts arrivals."""

    def __init__(self) -> None:
        self._seen: defaultdict[int, list[tuple[str | None, int]]] = defaultdict(list)
        self._taken = 0

    async def hook(self, request: web.Request) -> web.Response:
        """Take one webhook."""
        body = await request.json()
        arrivals = self._seen[body["order"]]
        status = body.get("answer") or (503 if len(arrivals) < body.get("fail", 0) else TAKEN)
        arrivals.append((request.headers.get("webhook-id"), status))
        self._taken += status == TAKEN
        await asyncio.sleep(body.get("hold", 0.0))
        return web.Response(status=status)

    async def seen(self, _: web.Request) -> web.Response:
        """Every arrival by order."""
        return web.json_response(self._seen)

    async def count(self, _: web.Request) -> web.Response:
        """Two totals."""
        return web.json_response({"arrivals": sum(map(len, self._seen.values())), "taken": self._taken})


def main() -> None:
    """Serve until killed."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("port", type=int)
    observer, app = Observer(), web.Application()
    app.router.add_post("/hook", observer.hook)
    app.router.add_get("/seen", observer.seen)
    app.router.add_get("/count", observer.count)
    web.run_app(app, host="127.0.0.1", port=arguments.parse_args().port, print=None, access_log=None, backlog=1024)


if __name__ == "__main__":
    main()
