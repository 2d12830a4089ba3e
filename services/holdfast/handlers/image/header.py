"""The header of a picture: what it is, and whether it may be decoded.

Invariant: nothing is decoded before its header passed the caps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyvips

from holdfast.handlers.image.errors import ImageTruncated, NotAnImage, TooManyFrames, TooManyPixels, TooManyScans
from holdfast.handlers.image.geometry import Size
from holdfast.handlers.image.libvips import cut_short, reason

_READ = {
    "jpegload": "jpeg",
    "pngload": "png",
    "webpload": "webp",
    "heifload": "avif",
    "gifload": "gif",
    "tiffload": "tiff",
}
ANIMATED = ("gif", "webp")
_START_OF_SCAN = b"\xff\xda"
_SIDEWAYS = (5, 6, 7, 8)
"""The Exif orientations with width and height exchanged."""


@dataclass(frozen=True, slots=True)
class Header:
    """The source's header: `size` is one frame as stored, not yet upright."""

    data: bytes
    format: str
    size: Size
    bands: int
    frames: int
    orientation: int

    def upright(self, variant: Mapping[str, Any]) -> Size:
        """The size of a frame once it is oriented and rotated as the variant wants it."""
        turned = variant["auto_orient"] and self.orientation in _SIDEWAYS
        return self.size[::-1] if turned != (variant["rotate"] in (90, 270)) else self.size

    def facts(self) -> dict[str, Any]:
        """What a result says of it. The size is that of the upright picture, in which crops are measured."""
        width, height = self.upright({"auto_orient": True, "rotate": 0})
        facts = {"format": self.format, "width": width, "height": height, "frames": self.frames}
        return facts | {"bytes": len(self.data)}


def opened(data: bytes, limits: Mapping[str, int]) -> Header:
    """Read the header only, and refuse what is too large before a pixel is decoded."""
    try:
        header = pyvips.Image.new_from_buffer(data, "", access="sequential", fail_on="error")
        name = _READ.get(header.get("vips-loader").removesuffix("_buffer"))
    except pyvips.Error as error:
        raise _not_an_image(data, error) from error
    if name is None:
        raise _not_an_image(data, None)
    size = (header.width, header.height)
    # Not get_n_pages(), which says 1 when there are 10,000 or more.
    frames = header.get("n-pages") if name in ANIMATED and header.get_typeof("n-pages") else 1
    _check_size(size, frames, limits)
    if name == "jpeg" and header.get_typeof("interlaced"):
        _check_scans(data, limits)
    orientation = header.get("orientation") if header.get_typeof("orientation") else 1
    return Header(data, name, size, header.bands, frames, orientation if frames == 1 else 1)


def _not_an_image(data: bytes, error: pyvips.Error | None) -> NotAnImage | ImageTruncated:
    reads = "the source is not an image that Holdfast reads (JPEG, PNG, WebP, AVIF, GIF, TIFF)"
    if error is not None and cut_short(error):
        return ImageTruncated(f"the image breaks off within its header: {reason(error)}")
    start = data[:1024].lstrip().lower()
    if b"<svg" in start:
        return NotAnImage(f"{reads}: it is SVG, which is refused because it is a program more than a picture")
    if not data:
        return NotAnImage(f"{reads}: it is empty")
    if start.startswith((b"<!doctype html", b"<html")):
        return NotAnImage(f"{reads}: it is a web page")
    known = error is not None and "not in a known format" not in str(error)
    return NotAnImage(f"{reads}: {reason(error) if known and error else 'its format is unknown'}")


def _check_size(size: Size, frames: int, limits: Mapping[str, int]) -> None:
    pixels = size[0] * size[1]
    shape = f"{size[0]} × {size[1]} pixels"
    if pixels > limits["pixels"]:
        raise TooManyPixels(f"the image has {shape}; at most {limits['pixels']:,} pixels are decoded")
    if frames > limits["frames"]:
        raise TooManyFrames(f"the animation has {frames} frames; at most {limits['frames']} are decoded")
    if pixels * frames > limits["total_pixels"]:
        raise TooManyPixels(
            f"the animation has {frames} frames of {shape}; at most {limits['total_pixels']:,} pixels are decoded"
        )


def _check_scans(data: bytes, limits: Mapping[str, int]) -> None:
    """Each scan of a progressive JPEG walks all of its coefficients: 260 kB of scans that say nothing take a minute.

    libvips calls every JPEG interlaced that may have more scans than one (`jpeg_has_multiple_scans`, which also says
    so of a baseline JPEG whose first scan has not all components); in any other, libjpeg ends at the second.
    Entropy-coded data never holds the marker, so counting is enough (it finds those of an embedded thumbnail too).
    """
    scans = data.count(_START_OF_SCAN)
    if scans > limits["scans"]:
        raise TooManyScans(f"the JPEG has {scans} scans; at most {limits['scans']} are decoded")
