"""The outside: a web server that listens on several loopback addresses, so that senders see several hosts.

    python -m sick.receiver PORT ADDRESS... [--after SECONDS]

    POST /hook                                    a webhook; its body names it: {"run": "holdfast 503", "order": 7}
    PUT  /mode/{host}/{healthy|refusing|hanging}  how this host behaves from now on
    GET  /calls/{run}                             every call of a run, see `Call`
    GET  /count/{run}                             {"calls": 12, "taken": 7, "refused": 5}; taken: orders, once each

A healthy host answers 204 after so many seconds, by default 20 to 50 ms, drawn from the number of the order, so that
every run meets the same receiver. A refusing host answers 503 at once. A hanging host answers nothing until the sender
gives up; what hangs goes on hanging when the host has healed.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import defaultdict
from enum import StrEnum
from typing import Any

from aiohttp import web

TAKEN = 204


class Mode(StrEnum):
    """How a host behaves."""

    HEALTHY = "healthy"
    REFUSING = "refusing"
    HANGING = "hanging"


class Receiver:
    """Takes webhooks, and remembers every call."""

    def __init__(self, after: float | None) -> None:
        self._after = after
        self._modes: defaultdict[str, Mode] = defaultdict(lambda: Mode.HEALTHY)
        self._calls: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._taken: defaultdict[str, set[int]] = defaultdict(set)

    async def hook(self, request: web.Request) -> web.Response:
        """Take one webhook."""
        body = await request.json()
        run, order, host = body["run"], body["order"], request.url.host or ""
        call = {"order": order, "host": host, "begun": time.time(), "ended": None, "status": None}
        self._calls[run].append(call)
        try:
            call["status"] = await self._answer(self._modes[host], order)
        finally:  # a hanging call ends when its sender hangs up
            call["ended"] = time.time()
        if call["status"] == TAKEN:
            self._taken[run].add(order)
        return web.Response(status=call["status"])

    async def mode(self, request: web.Request) -> web.Response:
        """Let a host fall ill, or heal."""
        self._modes[request.match_info["host"]] = Mode(request.match_info["mode"])
        return web.Response(status=204)

    async def calls(self, request: web.Request) -> web.Response:
        """Every call of a run."""
        return web.json_response(self._calls[request.match_info["run"]])

    async def count(self, request: web.Request) -> web.Response:
        """Three totals of a run."""
        run = request.match_info["run"]
        calls = self._calls[run]
        refused = sum(call["status"] == web.HTTPServiceUnavailable.status_code for call in calls)
        return web.json_response({"calls": len(calls), "taken": len(self._taken[run]), "refused": refused})

    async def _answer(self, mode: Mode, order: int) -> int:
        match mode:
            case Mode.REFUSING:
                return web.HTTPServiceUnavailable.status_code
            case Mode.HANGING:
                await asyncio.Event().wait()
        await asyncio.sleep(self._after or random.Random(order).uniform(0.020, 0.050))
        return TAKEN


def main() -> None:
    """Serve until killed."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("port", type=int)
    arguments.add_argument("addresses", nargs="+")
    arguments.add_argument("--after", type=float)
    options = arguments.parse_args()
    receiver, app = Receiver(options.after), web.Application()
    app.router.add_post("/hook", receiver.hook)
    app.router.add_put("/mode/{host}/{mode}", receiver.mode)
    app.router.add_get("/calls/{run}", receiver.calls)
    app.router.add_get("/count/{run}", receiver.count)
    web.run_app(
        app,
        host=options.addresses,
        port=options.port,
        print=None,
        access_log=None,
        backlog=1024,
        handler_cancellation=True,
    )


if __name__ == "__main__":
    main()
