"""One visit to one side: post over HTTP, settle the lot, deliver webhooks; and see that the counts add up.

    enqueue    callers post no-ops for some seconds, while no worker runs: accepted a second
    noop       what was accepted, and more up to a round number, is worked off by two processes: settled a second
    webhook    webhooks to a receiver that takes 50 ms, by one process: delivered a second

A rate is taken between the tenth and the ninetieth percent of the events, so that neither the start of the workers nor
the last few count. CPU is that of everything on the side of the server: api, workers, broker, database.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from campaign.world import Sandbox

from harness import eventually
from load.usage import Usage, services

from .sides import NOOP, STARTING, WEBHOOK, Side

Figures = dict[str, Any]
CALLERS = 64
LATE = 90.0
"""Seconds within which a backlog must be worked off."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How long, and how much."""

    seconds: float = 5.0
    """Of posting."""
    noops: int = 8_000
    webhooks: int = 3_000
    processes: int = 2
    """Workers that settle no-ops: one a core."""


class DoesNotAddUp(Exception):
    """Accepted and settled differ."""


def visit(side: Side, place: Sandbox, receiver: str, scale: Scale, run: str) -> Figures:
    """All three measures; raise DoesNotAddUp when one of them cannot be believed."""
    usage = Usage(services(place.home) | {"own": side.pids})
    posted = post(side, usage, scale)
    return {
        "enqueue": posted,
        "noop": settle(side, usage, scale, posted["accepted"]),
        "webhook": _deliver(side, usage, scale, receiver, run),
    }


def post(side: Side, usage: Usage, scale: Scale) -> Figures:
    command = (sys.executable, "-m", "callers.in_turn", ",".join(side.urls), side.body(NOOP, "{}"))
    options = ("--callers", str(CALLERS), "--seconds", str(scale.seconds))
    before = usage.cpu()
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=60)
    told: Figures = json.loads(done.stdout)
    if told["others"]:
        raise DoesNotAddUp(f"{told['others']} requests were not accepted: {told['first others']}")
    return told | {"cpu us": _each(before, usage.cpu(), told["accepted"])}


def settle(side: Side, usage: Usage, scale: Scale, accepted: int) -> Figures:
    more = max(0, scale.noops - accepted)
    accepted += side.fill(NOOP, "{}", more) if more else 0
    with side.workers(NOOP, scale.processes):
        spent = _until(side.done, accepted, usage)
        eventually(side.left, lambda left: left == 0, within=30, every=0.5)
        settled = side.settled()
    if len(settled) != accepted:
        raise DoesNotAddUp(f"{accepted} no-ops were accepted and {len(settled)} settled")
    return {"jobs": accepted, "a second": rate(settled), "cpu us": spent}


def _deliver(side: Side, usage: Usage, scale: Scale, receiver: str, run: str) -> Figures:
    def arrived() -> int:
        return int(httpx.get(f"{receiver}/count/{run}").json()["taken"])

    payload = json.dumps({"url": f"{receiver}/hook", "body": {"run": run, "order": "{n}"}})
    accepted = side.fill(WEBHOOK, payload, scale.webhooks)
    with side.workers(WEBHOOK, 1):
        spent = _until(arrived, accepted, usage)
        eventually(side.left, lambda left: left == 0, within=30, every=0.5)
    calls = httpx.get(f"{receiver}/calls/{run}", timeout=30).json()
    if len(calls) != accepted:
        raise DoesNotAddUp(f"{accepted} webhooks were accepted and {len(calls)} delivered")
    return {"jobs": accepted, "a second": rate([call["ended"] for call in calls]), "cpu us": spent}


def rate(times: Sequence[float]) -> float:
    """Events a second, between the tenth and the ninetieth percent of them."""
    ordered = sorted(times)
    first, last = len(ordered) // 10, len(ordered) * 9 // 10
    return (last - first) / (ordered[last] - ordered[first])


def _until(done: Callable[[], int], accepted: int, usage: Usage) -> dict[str, int]:
    """Wait for the last; CPU for each job, from the first look that finds one done, so without the workers' start."""
    begun = eventually(done, lambda seen: seen > 0, within=STARTING, every=0.1)
    before = usage.cpu()
    eventually(done, lambda seen: seen >= accepted, within=LATE, every=0.25)
    return _each(before, usage.cpu(), max(1, accepted - begun))


def _each(before: Figures, after: Figures, jobs: int) -> dict[str, int]:
    """Microseconds of CPU for each job, by group."""
    return {name: round(1e6 * (after[name] - before[name]) / jobs) for name in after}
