"""The job's page options as CSS, and its header and footer as running elements (CSS Generated Content for Paged Media).

Standard library only: the handler makes the CSS, the engine applies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BANDS = {"header": "top-center", "footer": "bottom-center"}
"""The margin box that each band fills."""

_COUNTERS = """
.holdfast-page::after { content: counter(page) }
.holdfast-pages::after { content: counter(pages) }
"""


def page_css(page: Mapping[str, Any], bands: Mapping[str, str]) -> str:
    """Rules for a user style sheet; `!important` lets them win over the document's own `@page`."""
    rules = [*_size(page), *_margin(page["margin"])]
    boxes = [f"@{BANDS[name]} {{ content: element(holdfast-{name}) !important; width: 100% }}" for name in bands]
    css = f"@page {{ {' '.join(rules + boxes)} }}" if rules or boxes else ""
    for name in bands:
        css += (
            f"\n.holdfast-{name} {{ position: running(holdfast-{name}) !important; "
            "font: 8pt sans-serif; color: #444; text-align: center }"
        )
    return css + (_COUNTERS if bands else "")


def with_counters(band: str, *, page: str = "holdfast-page", pages: str = "holdfast-pages") -> str:
    """The band's HTML with its placeholders as elements that count, by their classes."""
    for placeholder, name in (("{pages}", pages), ("{page}", page)):
        band = band.replace(placeholder, f'<span class="{name}"></span>')
    return band


def _size(page: Mapping[str, Any]) -> list[str]:
    size, orientation = page["size"], page["orientation"]
    if isinstance(size, Mapping):
        sides = sorted((size["width"], size["height"]), reverse=orientation == "landscape")
        width, height = sides if orientation else (size["width"], size["height"])
        return [f"size: {width:g}mm {height:g}mm !important;"]
    words = [word for word in (size and size.lower(), orientation) if word]
    return [f"size: {' '.join(words)} !important;"] if words else []


def _margin(margin: Any) -> list[str]:
    if margin is None:
        return []
    sides = margin if isinstance(margin, (list, tuple)) else (margin,)
    return [f"margin: {' '.join(f'{side:g}mm' for side in sides)} !important;"]
