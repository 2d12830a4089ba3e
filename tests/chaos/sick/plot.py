"""Two pictures for each sickness, as one SVG: how long healthy webhooks took, and the calls to the sick host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from campaign.panel import HIGH, WIDE, Panel, Points, document, legend

COLOURS = {"holdfast": "#3b82f6", "celery": "#d9822b", "baseline": "#8a8a8a"}
SHADES = {"open": "#f6c9c5", "half_open": "#f9e7a8", "ramp": "#d5ecd0"}
LEGEND = {
    "Holdfast": COLOURS["holdfast"],
    "naive Celery": COLOURS["celery"],
    "Holdfast without a sick host": COLOURS["baseline"],
    "breaker open": SHADES["open"],
    "half open": SHADES["half_open"],
    "ramp": SHADES["ramp"],
}


def picture(runs: Mapping[str, Any]) -> str:
    """`runs` are those of the JSON file, by name."""
    sicknesses = [name.split()[1] for name in runs if name.startswith("holdfast") and not name.endswith("baseline")]
    parts = []
    for column, sickness in enumerate(sicknesses):
        parts += _latency(runs, sickness, column * WIDE)
        parts += _calls(runs, sickness, column * WIDE)
    wide, high = WIDE * len(sicknesses), 2 * HIGH + 30
    return document(wide, high, [*parts, *legend(high - 12, LEGEND)])


def _latency(runs: Mapping[str, Any], sickness: str, left: float) -> Iterator[str]:
    lines = {
        colour: runs[name]["p95 by second"]
        for colour, name in (
            ("baseline", "holdfast baseline"),
            ("celery", f"celery {sickness}"),
            ("holdfast", f"holdfast {sickness}"),
        )
        if name in runs
    }
    until = max(second for points in lines.values() for second, _ in points) + 1
    title = f"Healthy webhooks beside a {sickness} host: p95 by second, in ms"
    panel = Panel(left, 0, title, until, top=100_000, low=10, logarithmic=True)
    yield from panel.frame()
    for colour, points in lines.items():
        yield panel.line([(second + 0.5, value) for second, value in points], COLOURS[colour])


def _calls(runs: Mapping[str, Any], sickness: str, left: float) -> Iterator[str]:
    own = runs[f"holdfast {sickness}"]
    lines = {"holdfast": own["calls by second"]}
    if f"celery {sickness}" in runs:
        lines["celery"] = runs[f"celery {sickness}"]["calls by second"]
    until = max(second for points in lines.values() for second, _ in points) + 1
    top = max(value for points in lines.values() for _, value in points)
    panel = Panel(left, HIGH, f"Calls a second to the {sickness} host", until, top=max(10, top))
    for begin, end, state in own["sick"]["breaker"]:
        if state in SHADES:
            yield panel.shade(begin, min(end, until), SHADES[state])
    yield from panel.frame()
    yield from panel.moment(own["healed at"], "healed")
    for colour, points in lines.items():
        yield panel.line(_filled(points, until), COLOURS[colour])


def _filled(points: Points, until: float) -> Points:
    """Seconds without a call are zero."""
    known = dict(points)
    return [(second + 0.5, known.get(second, 0)) for second in range(int(until))]
