"""What is done to pixels on every way: sRGB, sizes, colours."""

from __future__ import annotations

from typing import Any

import pyvips

from holdfast.handlers.image.geometry import Size


def resized(image: Any, size: Size) -> Any:
    """Lanczos; transparent pixels weigh nothing, or their hidden colour would bleed into the edges."""
    if (image.width, image.height) == size:
        return image
    across, down = size[0] / image.width, size[1] / image.height
    if not image.hasalpha():
        return image.resize(across, vscale=down)
    return image.premultiply().resize(across, vscale=down).unpremultiply().cast(image.format)


def srgb(image: Any) -> Any:
    """8 bits a channel in sRGB, by the embedded profile; a profile that cannot be used counts as none."""
    profiled = bool(image.get_typeof("icc-profile-data"))
    if profiled or image.interpretation == "cmyk":
        options = {"embedded": True} if profiled else {"input_profile": "cmyk"}
        try:
            image = image.icc_transform("srgb", depth=8, intent="relative", black_point_compensation=True, **options)
        except pyvips.Error:
            image = image.colourspace("srgb")
        if profiled:
            image = image.copy()
            image.remove("icc-profile-data")
    if image.interpretation != "srgb":
        image = image.colourspace("srgb")
    return image if image.format == "uchar" else image.cast("uchar")


def rgb(colour: str) -> list[int]:
    """`#rrggbb` as three numbers."""
    return list(bytes.fromhex(colour.removeprefix("#")))
