"""Random hostile inputs: pictures by mutation of valid ones at the seams of their structure, documents by a grammar.

All chance comes from the `random.Random` that is handed in, so a seed and a number name an input.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from corpus.image_bombs import jpeg_with, png, scan_bomb, segment, small_png
from corpus.image_seeds import NAMES, cuts, seed

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Where lengths, counts and offsets go wrong."""


def picture(chance: random.Random) -> bytes:
    """A seed, or a corner of the corpus, with one to eight wounds."""
    name = chance.choice(NAMES)
    data, seams = seed(name), cuts(name)
    if chance.random() < 0.1:
        data, seams = chance.choice(_CORNERS)(), [8, 16, 24, 32]
    for _ in range(chance.randint(1, 8)):
        data = chance.choice(_WOUNDS)(chance, data, seams)
    return data[: 256 * 1024]


def _bit(chance: random.Random, data: bytes, _: list[int]) -> bytes:
    return _with(data, _place(chance, data), bytes([chance.getrandbits(8)]))


def _number(chance: random.Random, data: bytes, seams: list[int]) -> bytes:
    """An edge in place of a number, most likely one right at a seam."""
    size = chance.choice((1, 2, 4))
    number = (chance.choice(EDGES) & (1 << 8 * size) - 1).to_bytes(size, chance.choice(("big", "little")))
    place = chance.choice(seams) + chance.randint(-4, 8) if chance.random() < 0.7 else _place(chance, data)
    return _with(data, max(0, place), number)


def _cut(chance: random.Random, data: bytes, seams: list[int]) -> bytes:
    return data[: chance.choice(seams) if chance.random() < 0.5 else _place(chance, data)]


def _drop(chance: random.Random, data: bytes, seams: list[int]) -> bytes:
    first, last = sorted(chance.choices(seams, k=2))
    return data[:first] + data[last:]


def _double(chance: random.Random, data: bytes, seams: list[int]) -> bytes:
    first, last = sorted(chance.choices(seams, k=2))
    return data[:last] + data[first:last] * chance.choice((1, 2, 50)) + data[last:]


def _splice(chance: random.Random, data: bytes, seams: list[int]) -> bytes:
    """The rest of another picture."""
    name = chance.choice(NAMES)
    return data[: chance.choice(seams)] + seed(name)[chance.choice(cuts(name)) :]


def _noise(chance: random.Random, data: bytes, _: list[int]) -> bytes:
    return _with(data, _place(chance, data), chance.randbytes(chance.randint(1, 64)))


def _place(chance: random.Random, data: bytes) -> int:
    return chance.randrange(len(data)) if data else 0


def _with(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


_WOUNDS: tuple[Callable[[random.Random, bytes, list[int]], bytes], ...] = (
    *(_bit, _number, _number, _cut, _drop, _double, _splice, _noise),
)
_CORNERS: tuple[Callable[[], bytes], ...] = (
    *(small_png, lambda: png(4_000, 4_000, pixels=bytes(4096)), lambda: scan_bomb(256, 3)),
    lambda: jpeg_with(segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + bytes(64))),
)

TAGS = (
    *(
        "div",
        "p",
        "span",
        "b",
        "table",
        "tr",
        "td",
        "ul",
        "ol",
        "li",
        "a",
        "img",
        "svg",
        "g",
        "use",
        "rect",
        "path",
        "text",
    ),
    *("input", "select", "button", "details", "h1", "pre", "br", "hr", "col", "colgroup", "thead", "caption", "style"),
    *("link", "base", "meta", "iframe", "object", "embed", "video", "math", "ruby", "rt", "template", "slot"),
)
PROPERTIES = (
    *("display", "float", "position", "width", "height", "min-width", "max-height", "margin", "padding", "border"),
    *("columns", "flex", "grid-template-columns", "grid-area", "break-before", "page", "content", "counter-reset"),
    *("transform", "font", "font-size", "line-height", "letter-spacing", "text-indent", "hyphens", "background"),
    *("background-size", "list-style", "string-set", "bookmark-level", "orphans", "widows", "overflow", "tab-size"),
    *("box-decoration-break", "footnote-display", "vertical-align", "text-align", "white-space", "direction", "--x"),
)
VALUES = (
    *("0", "1", "-1", "1e9px", "-1e9px", "1e-9mm", "1e308em", "nan", "99999999999999999999", "50%", "-50%", "1000%"),
    *("auto", "none", "inherit", "initial", "flex", "grid", "inline-flex", "table", "table-cell", "inline-table"),
    *(
        "list-item",
        "contents",
        "running(x)",
        "left",
        "footnote",
        "absolute",
        "fixed",
        "always",
        "avoid",
        "counter(page)",
    ),
    *("attr(id)", "target-counter(attr(href), page)", "leader('.')", "calc(1px * 1e9)", "var(--x)", "url(#a)"),
    *("url(data:,x)", "url(file:///etc/passwd)", "url(http://127.0.0.1:8000/x)", "repeat(9999, 1px)", "rotate(1e9deg)"),
    *("scale(0)", "matrix(0,0,0,0,0,0)", "'\\\\0'", "rgb(1e9 0 0)", "linear-gradient(red 0%, blue 1e9%)", "9 9 9 9"),
)
ATTRIBUTES = (
    *(
        'colspan="9"',
        'rowspan="9"',
        'span="99"',
        'href="#a"',
        'id="a"',
        'src="data:image/png;base64,AAAA"',
        'value="x"',
    ),
    *('src="file:///etc/passwd"', 'src="http://127.0.0.1:8000/"', 'rel="attachment"', 'rel="stylesheet"', 'dir="rtl"'),
    *('lang="xx-\\u202e"', 'width="1e9"', 'height="-1"', 'viewBox="0 0 0 0"', 'd="M0 0 L1e9 1e9 A0 0 0 0 0 1 1 z"'),
    *('transform="scale(1e9)"', 'start="2147483647"', 'type="A"', 'start="-99999"'),
)
TEXTS = (
    "x",
    "word " * 20,
    "\u202e\u2066\u0000",
    "e\u0301" * 50,
    "👩‍👩‍👧‍👦",
    "السلام",
    "&#x10ffff;&nbsp;&bogus;",
    "<![CDATA[x]]>",
    "<!--",
    "-->",
)


def document(chance: random.Random) -> str:
    """A page of random elements, rules and texts, of a size that a sane one is laid out at in a few milliseconds."""
    rules = "".join(f"{_selector(chance)} {{ {_style(chance)} }}" for _ in range(chance.randint(0, 5)))
    page = f"@page {{ {_style(chance)} @top-left {{ {_style(chance)} }} }}" if chance.random() < 0.3 else ""
    return f"<style>{page}{rules}</style>" + "".join(_element(chance, 4) for _ in range(chance.randint(1, 4)))


def _element(chance: random.Random, depth: int) -> str:
    if depth == 0 or chance.random() < 0.2:
        return chance.choice(TEXTS)
    tag = chance.choice(TAGS)
    attributes = " ".join(chance.choices(ATTRIBUTES, k=chance.randint(0, 2)))
    inner = "".join(_element(chance, depth - 1) for _ in range(chance.randint(0, 3)))
    style = f'style="{_style(chance)}"' if chance.random() < 0.5 else ""
    return f"<{tag} {attributes} {style}>{inner}" + (f"</{tag}>" if chance.random() < 0.9 else "")


def _style(chance: random.Random) -> str:
    return "; ".join(f"{chance.choice(PROPERTIES)}: {chance.choice(VALUES)}" for _ in range(chance.randint(1, 3)))


def _selector(chance: random.Random) -> str:
    return chance.choice(TAGS) + chance.choice(
        ("", "::before", "::marker", ":first-child", " > *", ":has(p)", "#a", "::footnote-call")
    )
