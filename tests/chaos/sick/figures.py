"""From runs to numbers. Times are seconds unless they say otherwise."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from .run import Call, Run

Figures = dict[str, Any]


def latencies(run: Run) -> list[tuple[float, float]]:
    """Of each healthy webhook: when it was due (since the begin of the run), and the milliseconds from its acceptance
    until the receiver had answered it. One that never arrived counts as one that arrived when the run was over."""
    arrived = run.delivered
    return [
        (run.due(order) - run.begun, (arrived.get(order, run.over) - at) * 1000)
        for order, at in sorted(run.accepted_at.items())
        if order % 2 == 0
    ]


def healthy(run: Run) -> Figures:
    """How the webhooks of the healthy host fared."""
    waits = sorted(wait for _, wait in latencies(run))
    posting = sorted((at - run.due(order)) * 1000 for order, at in run.accepted_at.items())
    return {
        "webhooks": sum(order % 2 == 0 for order in run.orders),
        "posting p95": round(percentile(posting, 95), 1),
        "delivered": sum(order % 2 == 0 for order in run.delivered),
        **{f"p{share}": round(percentile(waits, share), 1) for share in (50, 95, 99)},
    }


def sick(run: Run) -> Figures:
    """How the webhooks of the sick host fared."""
    own = {order for order in run.orders if order % 2}
    arrived = {order: at for order, at in run.delivered.items() if order in own}
    accepted = own & run.accepted_at.keys()
    later = [call for call in run.at_sick if call.begun > run.healed]
    return {
        "webhooks": len(own),
        "refused": len(own & run.refused.keys()),
        "calls while it was sick": sum(call.begun <= run.healed for call in run.at_sick),
        "most calls at once while it was sick": most_at_once([c for c in run.at_sick if c.begun <= run.healed]),
        "lost": len(accepted - arrived.keys()),
        "delivered more than once": again(run),
        "posted a second": run.scale.rate,
        "waiting at the healing": sum(arrived.get(order, run.over) > run.healed for order in accepted),
        "first call after the healing": round(min((c.begun for c in later), default=run.over) - run.healed, 1),
        "seconds from the healing to the last delivery": round(max(arrived.values(), default=run.over) - run.healed, 1),
        "most calls within a second after the healing": busiest_second(later),
        "most calls at once after the healing": most_at_once(later),
        "calls that failed": sum(not call.taken for call in run.at_sick),
    }


def again(run: Run) -> int:
    """Webhooks that were taken more than once, of either host."""
    return sum(times > 1 for times in Counter(call.order for call in run.calls if call.taken).values())


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest rank: the smallest value that at least `share` percent do not exceed."""
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


def busiest_second(calls: Iterable[Call]) -> int:
    """The most calls that began within any one second."""
    begun = sorted(call.begun for call in calls)
    most, first = 0, 0
    for last, at in enumerate(begun):
        while at - begun[first] >= 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


def most_at_once(calls: Iterable[Call]) -> int:
    """The most calls that were under way at the same time."""
    steps = sorted(step for call in calls for step in ((call.begun, 1), (call.ended if call.ended else math.inf, -1)))
    most = now = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def per_second(calls: Iterable[Call], begun: float) -> dict[int, int]:
    """Calls by the second of the run in which they began."""
    return dict(sorted(Counter(int(call.begun - begun) for call in calls).items()))
