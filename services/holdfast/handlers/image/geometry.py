"""Sizes and positions, without a pixel: how a picture of one size becomes one of another.

The five fits, for a picture of 400 × 200 and a box of 100 × 100:

    inside    100 × 50    all of it, no side larger than the box
    outside   200 × 100   all of it, no side smaller than the box
    contain   100 × 100   as inside, on a canvas of the box's size
    cover     100 × 100   as outside, cut to the box
    fill      100 × 100   stretched
"""

from __future__ import annotations

from dataclasses import dataclass

Size = tuple[int, int]

SHRINKS = (8, 4, 2)
"""The factors by which libjpeg can shrink a picture while it decodes it."""

PLACES: dict[str, tuple[float, float]] = {
    "northwest": (0.0, 0.0),
    "north": (0.5, 0.0),
    "northeast": (1.0, 0.0),
    "west": (0.0, 0.5),
    "centre": (0.5, 0.5),
    "east": (1.0, 0.5),
    "southwest": (0.0, 1.0),
    "south": (0.5, 1.0),
    "southeast": (1.0, 1.0),
}
"""Where a part lies in the whole, from (0, 0) at the upper left to (1, 1)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Resize to `resize`, then cut to `cut`, then lay on a canvas of `canvas` (each when it is set)."""

    resize: Size
    cut: Size | None = None
    canvas: Size | None = None

    @property
    def result(self) -> Size:
        """The size of the finished picture."""
        return self.canvas or self.cut or self.resize


def plan(size: Size, box: tuple[int | None, int | None], fit: str, *, enlarge: bool) -> Plan:
    """How to bring a picture of `size` into `box`. Without `enlarge`, no pixel of it becomes larger than it was."""
    width, height = size
    if box[0] is None or box[1] is None:
        scale = (box[0] / width) if box[0] else (box[1] / height) if box[1] else 1.0
        return Plan(_scaled(size, scale if enlarge else min(1.0, scale)))
    target = (box[0], box[1])
    across, down = target[0] / width, target[1] / height
    limit = max(across, down, 1.0) if enlarge else 1.0
    match fit:
        case "outside":
            return Plan(_scaled(size, min(max(across, down), limit)))
        case "fill":
            return Plan(target if enlarge else (min(target[0], width), min(target[1], height)))
        case "contain":
            return Plan(_scaled(size, min(across, down, limit)), canvas=target)
        case "cover":
            cut = target if enlarge else _scaled(target, min(1.0, width / target[0], height / target[1]))
            scaled = _scaled(size, max(cut[0] / width, cut[1] / height))
            return Plan((max(scaled[0], cut[0]), max(scaled[1], cut[1])), cut=cut)
        case _:
            return Plan(_scaled(size, min(across, down, limit)))


def shrink_on_load(ratios: list[float]) -> int:
    """The factor that leaves every variant at least as many pixels as it needs; a ratio is source by target."""
    least = min(ratios, default=1.0)
    return next((factor for factor in SHRINKS if factor <= least), 1)


def place(whole: Size, part: Size, gravity: str, margin: int = 0) -> tuple[int, int]:
    """Left and top of a part that lies in the whole by `gravity`, `margin` pixels from the edges."""
    across, down = PLACES.get(gravity, PLACES["centre"])
    left = margin + (whole[0] - part[0] - 2 * margin) * across
    top = margin + (whole[1] - part[1] - 2 * margin) * down
    return round(left), round(top)


def _scaled(size: Size, scale: float) -> Size:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
