"""Hostile documents: layouts that never end, and bombs in their pictures, style sheets and fonts.

Each is the payload of a `pdf.render` job. One whose outcome is `IsolatedTimeout` burns its processor until it is killed.
"""

# ruff: noqa: E501 (one attack a line)

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator

from corpus.case import SUCCEEDED, TIMED_OUT, Case, document
from corpus.image_bombs import MIB, gif, png, png_chunk, small_png, zeros

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) (r) file\n%%EOF\n"


def cases() -> Iterator[Case]:
    """Every hostile document."""
    yield from _endless_layouts()
    yield from _bombs()
    yield from _fonts()


def _endless_layouts() -> Iterator[Case]:
    def case(name: str, outcome: str, html: str) -> Case:
        return document("document without end", name, outcome, html=html)

    rows = '<tr><td colspan="1000000">x</td><td>y</td></tr>' * 3
    yield case("forty nested flex boxes", TIMED_OUT, _nested('<div style="display:flex">', "</div>", 40))
    yield case("forty nested inline blocks", SUCCEEDED, _nested('<div style="display:inline-block">', "</div>", 40))
    yield case("forty nested floats", SUCCEEDED, _nested('<div style="float:left">', "</div>", 40))
    yield case("forty nested tables", SUCCEEDED, _nested("<table><tr><td>", "</td></tr></table>", 40))
    yield case("forty nested columns", TIMED_OUT, _nested('<div style="columns:2">', "</div>", 40))
    yield case("a colspan of a million", TIMED_OUT, f"<table>{rows}</table>")
    yield case("a rowspan of a million", SUCCEEDED, rows.replace("colspan", "rowspan").join(("<table>", "</table>")))
    yield case("a table of 300,000 cells", TIMED_OUT, "<table>" + ("<tr>" + "<td>x" * 100) * 3_000 + "</table>")
    yield case("1,000 nested elements", "LayoutFailed", "<div>" * 1_000)
    yield case("a page of a million kilometres", SUCCEEDED, "<style>@page { size: 1e12mm }</style>x")
    yield case("a height of a million pages", SUCCEEDED, '<div style="height:30000000cm;border:1px solid">x</div>')
    yield case("a selector of 10,000 steps", "LayoutFailed", "<style>" + "p " * 10_000 + "{ color: red }</style><p>x")
    yield case(
        "nested :has",
        "LayoutFailed",
        "<style>" + ":has(" * 300 + "p" + ")" * 300 + "{color:red}</style>" + "<p>x" * 1000,
    )
    yield case("variables that double", TIMED_OUT, _doubling_variables(40))
    yield case(
        "variables in a circle", SUCCEEDED, "<style>p { --a: var(--b); --b: var(--a); color: var(--a) }</style><p>x"
    )
    yield case(
        "a counter of ten million letters",
        TIMED_OUT,
        "<style>p::before { counter-reset: n 99999999; content: counter(n, symbols('x')) }</style><p>x",
    )
    yield case(
        "a counter in roman numbers past all bounds",
        SUCCEEDED,
        "<style>p::before { counter-reset: n 2147483647; content: counter(n, upper-roman) }</style><p>x",
    )
    yield case(
        "a counter style that falls back to itself",
        SUCCEEDED,
        "<style>@counter-style a { system: cyclic; symbols: x; range: 9 9; fallback: a } li { list-style: a }</style><ol><li>x</ol>",
    )
    yield case("a script without end", SUCCEEDED, "<script>for(;;);</script><p>x")
    yield case("a refresh without end", SUCCEEDED, '<meta http-equiv="refresh" content="0"><p>x')
    yield case("a tab size of a billion", "MemoryLimit", '<pre style="tab-size:1000000000">\tx')
    yield case("a letter a million metres high", "LayoutFailed", '<p style="font-size:1e9cm">x')
    yield case("ten thousand shadows", SUCCEEDED, '<p style="text-shadow:' + "0 0 9px red," * 10_000 + '0 0 1px">x')


def _bombs() -> Iterator[Case]:
    def case(name: str, outcome: str, html: str) -> Case:
        return document("document with a bomb", name, outcome, html=html)

    yield case("picture of 30,000 × 30,000", SUCCEEDED, _img("image/png", png(30_000, 30_000, pixels=bytes(MIB))))
    yield case(
        "svg picture that uses itself ten to the ninth times",
        TIMED_OUT,
        _img("image/svg+xml", _laughing_svg(9).encode()),
    )
    yield case("svg inline that uses itself ten to the ninth times", TIMED_OUT, _laughing_svg(9))
    yield case("svg that uses itself", SUCCEEDED, '<svg><g id="a"><use href="#a"/></g></svg>')
    yield case(
        "svg pattern in itself",
        SUCCEEDED,
        '<svg width="9" height="9"><pattern id="p" width="1" height="1"><rect fill="url(#p)" width="9" height="9"/></pattern><rect fill="url(#p)" width="9" height="9"/></svg>',
    )
    yield case("svg with an entity bomb", SUCCEEDED, _img("image/svg+xml", _laughing_xml()))
    yield case(
        "svg with a path of a million steps",
        TIMED_OUT,
        '<svg width="9" height="9"><path d="M0 0' + "l1 1" * 400_000 + '"/></svg>',
    )
    yield case("svg with 1,500 nested groups", "LayoutFailed", "<svg>" + "<g>" * 1_500 + "</svg>")
    yield case(
        "svg of ten to the nine a side",
        SUCCEEDED,
        '<svg width="1e9" height="1e9"><rect width="1e9" height="1e9"/></svg>',
    )
    yield case(
        "svg dashes of a nanometre",
        SUCCEEDED,
        '<svg width="99" height="99"><path d="M0 0 L1e9 1e9" stroke="red" stroke-dasharray="1e-9"/></svg>',
    )
    yield case(
        "svg gradient that is its own parent",
        SUCCEEDED,
        '<svg width="9" height="9"><linearGradient id="g" href="#g"/><rect fill="url(#g)" width="9" height="9"/></svg>',
    )
    yield case(
        "svg marker in itself",
        SUCCEEDED,
        '<svg width="9" height="9"><marker id="m"><path d="M0 0h9" marker-end="url(#m)"/></marker><path d="M0 0h9" marker-end="url(#m)"/></svg>',
    )
    yield case("style sheet that imports itself from data", SUCCEEDED, _nested_data_imports(10))
    yield case("data of 1.4 MiB that is no picture", SUCCEEDED, _img("image/png", bytes(MIB)))
    yield case("gif of 40,000 frames", SUCCEEDED, _img("image/gif", gif(1, 1, 40_000)))
    yield case("picture with a zTXt of 1 GiB", SUCCEEDED, _img("image/png", _ztxt()))
    yield case(
        "picture stretched over a thousand pages",
        SUCCEEDED,
        f'<div style="height:29700cm;background:url({_data("image/png", _dot())}) repeat">x</div>',
    )
    yield case(
        "background of a million tiles",
        SUCCEEDED,
        f'<div style="height:20cm;background:url({_data("image/png", _dot())}) 0 0/0.01px">x</div>',
    )
    yield case("html of 3 MiB", "HtmlTooLarge", "<p>" + "x" * 3 * MIB)


def _fonts() -> Iterator[Case]:
    def case(name: str, outcome: str, font: bytes, kind: str = "woff2") -> Case:
        css = f"@font-face {{ font-family: f; src: url({_data('font/' + kind, font)}) format('{kind}') }}"
        return document(
            "font that is none, or a bomb", name, outcome, html=f"<style>{css} p {{ font-family: f }}</style><p>word"
        )

    woff2 = b"wOF2\0\1\0\0" + struct.pack(">IHHIIHH", 4096, 1, 0, 2**32 - 1, 1024, 1, 0) + bytes(24)
    yield case("woff2 that claims 4 GiB", SUCCEEDED, woff2 + bytes(4096))
    woff = b"wOFF\0\1\0\0" + struct.pack(">IHHI", MIB + 44, 1, 0, 2**32 - 1) + bytes(24)
    packed = zeros(256 * MIB)
    table = b"glyf" + struct.pack(">IIII", 64, len(packed), 2**28, 0)
    yield case("woff table of 256 MiB", SUCCEEDED, woff + table + packed, "woff")
    yield case("truetype magic and zeros", SUCCEEDED, b"\0\1\0\0" + bytes(65_536), "truetype")
    yield case("truetype of 65,535 tables", SUCCEEDED, b"\0\1\0\0\xff\xff" + bytes(MIB), "truetype")
    yield case("opentype collection of 2³² fonts", SUCCEEDED, b"ttcf\0\1\0\0\xff\xff\xff\xff" + bytes(4096), "truetype")
    yield case("svg as a font", SUCCEEDED, _laughing_svg(9).encode(), "svg")
    yield case("type 1 program", SUCCEEDED, b"%!PS-AdobeFont-1.0: x\n(/etc/passwd) run\n", "truetype")
    yield case("bitmap font of a million glyphs", SUCCEEDED, b"STARTFONT 2.1\nCHARS 1000000000\n", "truetype")


def _nested(before: str, after: str, depth: int) -> str:
    return before * depth + "x" + after * depth


def _doubling_variables(depth: int) -> str:
    rules = ";".join(f"--v{n}: var(--v{n - 1}) var(--v{n - 1})" for n in range(1, depth))
    return f"<style>p {{ --v0: x; {rules}; font-family: var(--v{depth - 1}) }}</style><p>x"


def _laughing_svg(depth: int) -> str:
    groups = '<g id="g0"><rect width="1" height="1"/></g>'
    groups += "".join(f'<g id="g{n}">{f"""<use href="#g{n - 1}"/>""" * 10}</g>' for n in range(1, depth))
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><defs>{groups}</defs><use href="#g{depth - 1}"/></svg>'


def _laughing_xml() -> bytes:
    entities = '<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE svg [{entities}]><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text>&a9;</text></svg>'.encode()


def _nested_data_imports(depth: int) -> str:
    css = "p { color: red }"
    for _ in range(depth):
        css = f'@import url("{_data("text/css", css.encode())}");'
    return f"<style>{css}</style><p>x"


def _ztxt() -> bytes:
    return small_png(png_chunk(b"zTXt", b"k\0\0" + zeros(1024 * MIB)))


def _dot() -> bytes:
    return png(1, 1, pixels=b"\0\xff\0\0")


def _img(media_type: str, data: bytes) -> str:
    return f'<img src="{_data(media_type, data)}">'


def _data(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
