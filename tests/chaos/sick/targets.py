"""What the numbers must be, each with what speaks against it."""

from __future__ import annotations

from collections.abc import Iterator

from campaign.audit import Promise

from .figures import Figures

WITHIN = 1.2
"""The p95 of healthy webhooks beside a sick host may be so many times what it is without."""

FLOOD = 0.25
"""The part of what waits for a sick host that may come within one second after it has healed; where that is little,
twice as much as it gets when it is well."""


def times(name: str, beside: Figures, alone: Figures) -> Promise:
    """The one target that is about time, so not one for tests: it needs a machine that does nothing else."""
    ratio = beside["p95"] / alone["p95"]
    return Promise(
        f"{name}: p95 of healthy webhooks within 20 % of the run without a sick host",
        f"{beside['p95']:.1f} ms to {alone['p95']:.1f} ms, {100 * (ratio - 1):+.0f} %",
        [] if ratio <= WITHIN else [f"{ratio:.2f} times, more than {WITHIN}"],
    )


def counts(name: str, healthy: Figures, sick: Figures) -> Iterator[Promise]:
    """The targets that are about numbers of webhooks and calls."""
    short = healthy["webhooks"] - healthy["delivered"]
    yield Promise(
        f"{name}: every webhook of the healthy host arrived",
        f"{healthy['delivered']} of {healthy['webhooks']}",
        [f"{short} did not"] if short else [],
    )
    yield Promise(
        f"{name}: the breaker opened",
        f"after {sick['calls before the trip']} calls, {sick['seconds until the trip']} s" if sick["trips"] else "",
        [] if sick["trips"] else ["it did not"],
    )
    after, budget = sick["calls after the trip"], sick["probe budget"]
    yield Promise(
        f"{name}: calls that reached the sick host after the trip are within the probe budget",
        f"{after} of {budget}; {sick['calls on their way at the trip']} more were on their way",
        [f"{after - budget} too many"] if after > budget else [],
    )
    yield Promise(
        f"{name}: every webhook of the sick host arrived after it healed",
        f"{sick['webhooks'] - sick['lost'] - sick['refused']} of {sick['webhooks']}",
        [f"{sick['lost']} lost, {sick['refused']} refused"] if sick["lost"] or sick["refused"] else [],
    )
    yield Promise(
        f"{name}: no job died of the sickness",
        f"{sick['jobs'].get('dead', 0)} dead",
        [f"{sick['jobs']}"] if sick["jobs"].keys() - {"succeeded"} else [],
    )
    spent, failed = sick["failed attempts"], sick["calls that failed"]
    yield Promise(
        f"{name}: being parked cost no attempt: no more attempts failed than calls did",
        f"{spent} failed attempts, {failed} failed calls, {sick['parked attempts']} attempts parked",
        [f"{spent - failed} too many"] if spent > failed else [],
    )
    most, waiting = sick["most calls within a second after the healing"], sick["waiting at the healing"]
    bound = max(FLOOD * waiting, 2 * sick["posted a second"])
    yield Promise(
        f"{name}: the healed host was not flooded with what was waiting",
        f"at most {most} calls within a second, of {waiting} webhooks that were waiting",
        [f"{most} calls within a second, more than {bound:.0f}"] if most > bound else [],
    )
