"""What the demo feeds to Holdfast, made on the spot and the same every time: no binary files in the repository.

    python examples/demo/assets.py FOLDER      writes photograph.jpg, invoice.html and invoice.json

`photograph` needs libvips and so must not be called in a process that forks workers later.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 4000, 3000
QUAY = 2480
"""The row where the town ends and the water begins."""

INVOICE_TEMPLATE = Path(__file__).with_name("invoice.html")


def photograph() -> bytes:
    """A JPEG of 12 megapixels with the entropy of a real photograph, a camera's Exif and GPS data and an ICC profile.

    The camera was held sideways: the pixels lie on their side and Exif orientation 6 says so, as phones do it.
    """
    import pyvips

    town = _draw(pyvips, _dusk(pyvips), _skyline()).copy_memory()
    scene = _grain(pyvips, _draw(pyvips, _water(pyvips, town), _lights()))
    picture = scene.cast("uchar").copy(interpretation="srgb").rot270().copy()
    for field, value in _CAMERA.items():
        picture.set_type(pyvips.GValue.gstr_type, f"exif-{field}", value)
    picture.set_type(pyvips.GValue.gint_type, "orientation", 6)
    jpeg: bytes = picture.jpegsave_buffer(Q=90, profile="srgb")
    return jpeg


_CAMERA = {
    "ifd0-Make": "Holdfast",
    "ifd0-Model": "Demo Camera 12",
    "ifd0-Artist": "A. Photographer",
    "ifd2-DateTimeOriginal": "2026:05:01 20:15:00",
    "ifd3-GPSLatitudeRef": "N",
    "ifd3-GPSLatitude": "53/1 32/1 4512/100",
    "ifd3-GPSLongitudeRef": "E",
    "ifd3-GPSLongitude": "9/1 58/1 103/100",
}


def _dusk(pyvips: Any) -> Any:
    """A sky that goes from deep blue to orange, with clouds."""
    down = pyvips.Image.xyz(WIDTH, HEIGHT)[1] / HEIGHT
    clouds = pyvips.Image.perlin(WIDTH // 8, HEIGHT // 8, cell_size=96, seed=7).resize(8, kernel="linear")
    wisps = pyvips.Image.perlin(WIDTH // 4, HEIGHT // 4, cell_size=24, seed=8).resize(4, kernel="linear")
    light = down + clouds * 0.10 + wisps * 0.03
    return (light * light * 205 + 28).bandjoin([light * 105 + 38, light * -45 + 125])


def _draw(pyvips: Any, scene: Any, shapes: Iterable[str]) -> Any:
    """Lay SVG shapes over the scene."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">{"".join(shapes)}</svg>'
    drawing = pyvips.Image.svgload_buffer(svg.encode())
    alpha = drawing[3] / 255
    return scene * (alpha * -1 + 1) + drawing[0:3] * alpha


def _skyline() -> Iterator[str]:
    """Sharp edges: house fronts with lit windows, and the mast and rigging of a ship before them."""
    draw, x = _lots(11), 0
    while x < WIDTH:
        width, top, shade = 170 + draw(180), 1760 + draw(330), 16 + draw(16)
        yield _rectangle(x, top, width - 8, QUAY - top, f"rgb({shade},{shade},{shade + 10})")
        for column in range(x + 24, x + width - 50, 48):
            for row in range(top + 34, QUAY - 80, 66):
                yield _rectangle(column, row, 22, 38, ("#ffc46e", "#2e2a3a", "#ffe2aa", "#262434", "#2b2838")[draw(5)])
        x += width
    yield _rectangle(2890, 620, 20, QUAY - 560, "#0a0a10")
    for stay in range(12):
        yield f'<path d="M2900 {640 + 20 * stay}L{2140 + 130 * stay} {QUAY + 60}" stroke="#0c0c12" stroke-width="3"/>'
    yield f'<path d="M2050 {QUAY + 10}H3720L3600 {QUAY + 130}H2180Z" fill="#0d1018"/>'


def _lights() -> Iterator[str]:
    """Street lamps far out of focus: soft discs with a brighter rim."""
    colours = ("#ffd696", "#ffaa60", "#ff7858", "#aacdff", "#ffeecd")
    for number, colour in enumerate(colours):
        stops = ((0, 0.30), (86, 0.36), (94, 0.52), (100, 0))
        inner = "".join(f'<stop offset="{at}%" stop-color="{colour}" stop-opacity="{much}"/>' for at, much in stops)
        yield f'<radialGradient id="g{number}">{inner}</radialGradient>'
    draw = _lots(20260501)
    for _ in range(46):
        x, y, radius = draw(WIDTH), 1500 + draw(1100), 45 + draw(120)
        yield f'<circle cx="{x}" cy="{y}" r="{radius}" fill="url(#g{draw(len(colours))})"/>'


def _water(pyvips: Any, scene: Any) -> Any:
    """Mirror the town in dark water below the quay."""
    depth = HEIGHT - QUAY
    ripples = pyvips.Image.perlin(WIDTH // 8, depth // 4, cell_size=20, seed=5).resize(8, vscale=4, kernel="linear")
    mirrored = scene.crop(0, QUAY - depth, WIDTH, depth).flipver().gaussblur(6)
    water = mirrored * (ripples.crop(0, 0, WIDTH, depth) * 0.18 + 0.5) + [6, 10, 18]
    return scene.insert(water.cast("float"), 0, QUAY)


def _rectangle(x: int, y: int, width: int, height: int, colour: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour}"/>'


def _lots(seed: int) -> Callable[[int], int]:
    """A small generator of our own, so that the picture never changes with a library: draw(n) lies in [0, n)."""
    state = seed

    def draw(below: int) -> int:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (state >> 33) % below

    return draw


def _grain(pyvips: Any, scene: Any) -> Any:
    """The noise of a sensor: fine grain in every channel, coarser blotches in the shadows."""
    fine = [pyvips.Image.gaussnoise(WIDTH, HEIGHT, mean=0, sigma=5.5, seed=seed) for seed in (1, 2, 3)]
    coarse = pyvips.Image.gaussnoise(WIDTH // 4, HEIGHT // 4, mean=0, sigma=5, seed=4).resize(4, kernel="linear")
    return scene + fine[0].bandjoin(fine[1:]) + coarse


def invoice_data() -> dict[str, Any]:
    """The data of `invoice.html`: amounts in cents are summed up here, as an application would do it."""
    issued = date(2026, 5, 4)
    lines = [
        {"number": number, "title": title, "note": note, "quantity": quantity, "unit": unit, "cents": cents}
        for number, (title, note, quantity, unit, cents) in enumerate(_WORK, start=1)
    ]
    net = sum(line["quantity"] * line["cents"] for line in lines)
    tax = round(net * 0.19)
    return {
        "logo": _LOGO,
        "number": "2026-0417",
        "issued": issued.isoformat(),
        "due": (issued + timedelta(days=30)).isoformat(),
        "period": "April 2026",
        "seller": {
            "name": "Bollard & Cleat Shipwrights",
            "address": ["Slipway 3", "20457 Hamburg", "Germany"],
            "vat": "DE 100 200 300",
            "bank": "DE02 1203 0000 0000 2020 51",
            "email": "accounts@bollard.example",
        },
        "buyer": {
            "name": "Northern Light Ferries AB",
            "contact": "Astrid Lindqvist, Technical Management",
            "address": ["Kajskjulsvägen 12", "211 19 Malmö", "Sweden"],
            "reference": "PO 88-1204, MF Aurora",
        },
        "lines": lines,
        "net": net,
        "tax_rate": 19,
        "tax": tax,
        "total": net + tax,
    }


_WORK: tuple[tuple[str, str, int, str, int], ...] = (
    ("Docking and undocking", "Floating dock 2, including two tugs", 1, "flat", 1_840_000),
    ("Dock rent", "Per started day", 9, "day", 215_000),
    ("Shore power 440 V", "Metered", 6_120, "kWh", 31),
    ("Hull pressure wash", "250 bar, flat bottom and vertical sides", 2_140, "m²", 420),
    ("Hull blasting Sa 2½", "Spots and weld seams", 310, "m²", 2_950),
    ("Antifouling system", "Two coats, copper-free", 2_140, "m²", 1_890),
    ("Sacrificial anodes", "Aluminium, 11.5 kg, welded", 48, "piece", 13_900),
    ("Sea chest overhaul", "Gratings removed, cleaned, refitted", 4, "piece", 98_500),
    ("Propeller polishing", "Four blades, Rubert grade A", 2, "piece", 312_000),
    ("Shaft seal renewal", "Original parts, aft seal", 2, "set", 845_000),
    ("Rudder bearing clearance", "Measured, with protocol", 2, "piece", 64_000),
    ("Bow thruster service", "Oil change, seal kit, class witnessed", 1, "flat", 728_000),
    ("Steel renewal", "Grade A, 8–12 mm, including staging", 1_860, "kg", 1_150),
    ("Welding inspection", "Ultrasonic, level II inspector", 36, "hour", 11_800),
    ("Ballast tank cleaning", "Sediment disposed of with certificate", 3, "tank", 142_000),
    ("Valve overhaul DN 150", "Seats ground, pressure tested", 14, "piece", 38_600),
    ("Car deck coating", "Non-skid, fast curing", 640, "m²", 4_350),
    ("Bow visor seal", "EPDM profile, moulded corners", 27, "m", 21_400),
    ("Hydraulic hoses", "Crimped to sample, certified", 22, "piece", 18_700),
    ("Navigation light renewal", "LED, type approved", 7, "piece", 46_500),
    ("Cathodic protection check", "Reference electrode survey", 1, "flat", 124_000),
    ("Class surveyor attendance", "Bottom survey, two visits", 2, "visit", 165_000),
    ("Waste disposal", "Oily water, blasting grit", 14, "t", 29_500),
    ("Project management", "Superintendent, on site", 68, "hour", 12_500),
)


def _logo() -> str:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120">'
        '<circle cx="60" cy="60" r="58" fill="#123a4d"/>'
        '<g fill="none" stroke="#f2b544" stroke-width="7" stroke-linecap="round" stroke-linejoin="round">'
        '<circle cx="60" cy="29" r="9"/><path d="M60 38v54M41 50h38M26 68c2 18 16 27 34 27s32-9 34-27"/>'
        '<path d="M18 78l8-12 11 9M102 78l-8-12-11 9"/></g></svg>'
    )
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


_LOGO = _logo()


def main(folder: Path) -> None:
    """Write all example inputs into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "photograph.jpg").write_bytes(photograph())
    (folder / "invoice.html").write_bytes(INVOICE_TEMPLATE.read_bytes())
    (folder / "invoice.json").write_text(json.dumps(invoice_data(), ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
