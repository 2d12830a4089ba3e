"""Two pictures for each sickness, as one SVG: how long healthy webhooks took, and the calls to the sick host."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDE, HIGH, LEFT, GAP = 520, 190, 46, 34
COLOURS = {"holdfast": "#1f5fa8", "celery": "#d9822b", "baseline": "#8a8a8a"}
SHADES = {"open": "#f6c9c5", "half_open": "#f9e7a8", "ramp": "#d5ecd0"}
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: `x` from 0 to `until` seconds, `y` from `low` to `top`, on a logarithmic scale if so wanted."""

    left: float
    above: float
    title: str
    until: float
    top: float
    low: float = 0.0
    logarithmic: bool = False

    def x(self, seconds: float) -> float:
        """Where this time is."""
        return self.left + LEFT + min(seconds, self.until) / self.until * (WIDE - LEFT - 12)

    def y(self, value: float) -> float:
        """Where this value is."""
        share = (value - self.low) / (self.top - self.low)
        if self.logarithmic:
            share = math.log(max(value, self.low) / self.low) / math.log(self.top / self.low)
        return self.above + HIGH - GAP - min(1.0, max(0.0, share)) * (HIGH - GAP - 26)

    def frame(self) -> Iterator[str]:
        """Title, axes and their numbers."""
        yield f'<text x="{self.left + LEFT}" y="{self.above + 14}" font-weight="bold">{self.title}</text>'
        yield self._rule(self.y(self.low), "#333")
        for value in self._ticks():
            yield self._rule(self.y(value), "#e4e4e4")
            yield f'<text x="{self.left + LEFT - 5}" y="{self.y(value) + 4:.1f}" text-anchor="end">{value:,g}</text>'
        for seconds in range(0, int(self.until) + 1, 10):
            x, y = self.x(seconds), self.y(self.low) + 14
            yield f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{seconds} s</text>'

    def line(self, points: Points, colour: str) -> str:
        """A line through the points."""
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'

    def shade(self, begin: float, end: float, colour: str) -> str:
        """A stretch of time."""
        height = self.y(self.low) - self.y(self.top)
        return (
            f'<rect x="{self.x(begin):.1f}" y="{self.y(self.top):.1f}" width="{self.x(end) - self.x(begin):.1f}" '
            f'height="{height:.1f}" fill="{colour}"/>'
        )

    def moment(self, seconds: float, text: str) -> Iterator[str]:
        """A moment, with its name."""
        x, above, below = self.x(seconds), self.y(self.top), self.y(self.low)
        yield f'<line x1="{x:.1f}" y1="{above:.1f}" x2="{x:.1f}" y2="{below:.1f}" stroke="#2a7d2e"/>'
        yield f'<text x="{x + 3:.1f}" y="{above + 9:.1f}" fill="#2a7d2e">{text}</text>'

    def _ticks(self) -> Iterable[float]:
        if self.logarithmic:
            return [
                10.0**power for power in range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.top)) + 1)
            ]
        step = max(1, 10 ** math.floor(math.log10(self.top / 2)))
        return [float(value) for value in range(0, int(self.top) + 1, step * (2 if self.top / step > 6 else 1))]

    def _rule(self, y: float, colour: str) -> str:
        right = self.left + WIDE - 12
        return f'<line x1="{self.left + LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="{colour}"/>'


def picture(runs: Mapping[str, Any]) -> str:
    """`runs` are those of the JSON file, by name."""
    sicknesses = [name.split()[1] for name in runs if name.startswith("holdfast") and not name.endswith("baseline")]
    parts = []
    for column, sickness in enumerate(sicknesses):
        parts += _latency(runs, sickness, column * WIDE)
        parts += _calls(runs, sickness, column * WIDE)
    wide, high = WIDE * len(sicknesses), 2 * HIGH + 30
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="sans-serif" font-size="10">'
        '<rect width="100%" height="100%" fill="#fff"/>'
    )
    return "\n".join([head, *parts, *_legend(high - 12), "</svg>"]) + "\n"


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


def _legend(y: float) -> Iterator[str]:
    names = {
        "Holdfast": COLOURS["holdfast"],
        "naive Celery": COLOURS["celery"],
        "Holdfast without a sick host": COLOURS["baseline"],
        "breaker open": SHADES["open"],
        "half open": SHADES["half_open"],
        "ramp": SHADES["ramp"],
    }
    x = LEFT
    for name, colour in names.items():
        yield f'<rect x="{x}" y="{y - 9}" width="12" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 16}" y="{y}">{name}</text>'
        x += 30 + 6 * len(name)
