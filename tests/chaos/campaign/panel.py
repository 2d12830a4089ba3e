"""Small pictures as SVG: a panel with axes, lines and shades. Readable on a light page and on a dark one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

WIDE, HIGH, LEFT, GAP = 520, 190, 46, 34
Points = Sequence[tuple[float, float]]
STYLE = (
    "<style>text{fill:#24292f}.axis{stroke:#57606a}.grid{stroke:#d8dee4}"
    "@media(prefers-color-scheme:dark){text{fill:#d0d7de}.axis{stroke:#8b949e}.grid{stroke:#373e47}}</style>"
)


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: `x` from 0 to `until`, `y` from `low` to `top`, on a logarithmic scale if so wanted."""

    left: float
    above: float
    title: str
    until: float
    top: float
    low: float = 0.0
    logarithmic: bool = False
    unit: str = " s"
    """Of `x`."""

    def x(self, value: float) -> float:
        """Where this value is."""
        return self.left + LEFT + min(value, self.until) / self.until * (WIDE - LEFT - 12)

    def y(self, value: float) -> float:
        """Where this value is."""
        share = (value - self.low) / (self.top - self.low)
        if self.logarithmic:
            share = math.log(max(value, self.low) / self.low) / math.log(self.top / self.low)
        return self.above + HIGH - GAP - min(1.0, max(0.0, share)) * (HIGH - GAP - 26)

    def frame(self) -> Iterator[str]:
        """Title, axes and their numbers."""
        yield f'<text x="{self.left + LEFT}" y="{self.above + 14}" font-weight="bold">{self.title}</text>'
        yield self._rule(self.y(self.low), "axis")
        for value in self._ticks():
            yield self._rule(self.y(value), "grid")
            yield f'<text x="{self.left + LEFT - 5}" y="{self.y(value) + 4:.1f}" text-anchor="end">{value:,g}</text>'
        step = _step(self.until, 7)
        for number in range(int(self.until / step) + 1):
            x, y = self.x(number * step), self.y(self.low) + 14
            yield f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{number * step:,g}{self.unit}</text>'

    def line(self, points: Points, colour: str, *, dashed: bool = False) -> str:
        """A line through the points."""
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        dashes = ' stroke-dasharray="4 3"' if dashed else ""
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/>'

    def shade(self, begin: float, end: float, colour: str) -> str:
        """A stretch of `x`."""
        height = self.y(self.low) - self.y(self.top)
        return (
            f'<rect x="{self.x(begin):.1f}" y="{self.y(self.top):.1f}" width="{self.x(end) - self.x(begin):.1f}" '
            f'height="{height:.1f}" fill="{colour}" fill-opacity="0.55"/>'
        )

    def moment(self, at: float, text: str) -> Iterator[str]:
        """A value of `x`, with its name."""
        x, above, below = self.x(at), self.y(self.top), self.y(self.low)
        yield f'<line x1="{x:.1f}" y1="{above:.1f}" x2="{x:.1f}" y2="{below:.1f}" stroke="#2a9d3a"/>'
        yield f'<text x="{x + 3:.1f}" y="{above + 9:.1f}" style="fill:#2a9d3a">{text}</text>'

    def _ticks(self) -> Iterable[float]:
        if self.logarithmic:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.top))
            return [10.0**power for power in range(first, last + 1)]
        step = _step(self.top, 6)
        return [number * step for number in range(int(self.top / step) + 1)]

    def _rule(self, y: float, kind: str) -> str:
        right = self.left + WIDE - 12
        return f'<line x1="{self.left + LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="{kind}"/>'


def document(wide: float, high: float, parts: Iterable[str]) -> str:
    """The whole file."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" font-family="sans-serif" '
        f'font-size="10">{STYLE}'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def legend(y: float, colours: Mapping[str, str]) -> Iterator[str]:
    """What the colours mean, in one row."""
    x = LEFT
    for name, colour in colours.items():
        yield f'<rect x="{x}" y="{y - 9}" width="12" height="10" fill="{colour}"/>'
        yield f'<text x="{x + 16}" y="{y}">{name}</text>'
        x += 30 + 6 * len(name)


def _step(top: float, most: int) -> float:
    """A round number of which at most so many fit below `top`."""
    power: float = 10 ** math.floor(math.log10(top / most))
    return next(step * power for step in (1, 2, 5, 10) if step * power * most >= top)
