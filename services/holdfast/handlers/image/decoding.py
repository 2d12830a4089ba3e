"""The pixels of a picture, in memory.

Invariant: they take at most half of what the child may have. Warnings of a decoder are ignored, errors never.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyvips

from holdfast.handlers.image.errors import ImageDamaged, ImageTruncated, TooManyPixels
from holdfast.handlers.image.header import Header
from holdfast.handlers.image.libvips import cut_short, reason, refusing


def decoded(source: Header, limits: Mapping[str, int], *, shrink: int = 1, frames: int = 1) -> Any:
    """Its first frame or, as a strip of them below each other, all; a JPEG by `shrink` smaller a side."""
    options: dict[str, Any] = {"shrink": shrink} if shrink > 1 else {}
    if frames > 1:
        options["n"] = -1
    needed = source.size[0] * source.size[1] * frames * max(4, source.bands) // shrink**2
    if needed > limits["memory"] // 2:
        raise TooManyPixels(
            f"decoded, the image takes {needed // 1024**2} MiB; "
            f"at most half of the {limits['memory'] // 1024**2} MiB that a job may have is spent on that"
        )
    with refusing(_undecodable):
        return pyvips.Image.new_from_buffer(
            source.data, "", access="sequential", fail_on="error", **options
        ).copy_memory()


def _undecodable(error: pyvips.Error) -> ImageTruncated | ImageDamaged:
    if cut_short(error):
        return ImageTruncated(f"the image breaks off before its end: {reason(error)}")
    return ImageDamaged(f"the image cannot be decoded: {reason(error)}")
