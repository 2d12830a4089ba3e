"""One variant, thought through before anything is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.handlers.image.errors import CropOutside, EncodingFailed, TooManyPixels
from holdfast.handlers.image.geometry import Plan, Size, plan
from holdfast.handlers.image.header import ANIMATED, Header

LONGEST_SIDE = {"webp": 16_383, "avif": 16_384, "jpeg": 65_500, "gif": 65_535, "png": 1_000_000}
"""Pixels that a side may have, by each format that is written."""


@dataclass(frozen=True, slots=True)
class Work:
    """One variant, thought through before anything is decoded."""

    variant: Mapping[str, Any]
    format: str
    upright: Size
    region: tuple[int, int, int, int]
    plan: Plan
    frames: int

    @property
    def ratio(self) -> float:
        """How many source pixels a side make one pixel of the result."""
        return min(self.region[2] / self.plan.resize[0], self.region[3] / self.plan.resize[1])


def work_of(source: Header, variant: Mapping[str, Any], limits: Mapping[str, int]) -> Work:
    """What the variant comes to for this source; refused if it is too large, or outside."""
    upright = source.upright(variant)
    crop = variant["crop"]
    region = (crop["left"], crop["top"], crop["width"], crop["height"]) if crop else (0, 0, *upright)
    if region[0] + region[2] > upright[0] or region[1] + region[3] > upright[1]:
        raise CropOutside(
            f"the crop of variant {variant['name']} reaches to ({region[0] + region[2]}, {region[1] + region[3]}), "
            f"and the upright image has {upright[0]} × {upright[1]} pixels"
        )
    box = (variant["width"], variant["height"])
    wanted = plan((region[2], region[3]), box, variant["fit"], enlarge=variant["enlarge"])
    form = variant["format"] or (source.format if source.format in LONGEST_SIDE else "jpeg")
    frames = source.frames if form in ANIMATED else 1
    width, height = wanted.result
    if max(width, height) > LONGEST_SIDE[form]:
        raise EncodingFailed(
            f"variant {variant['name']} would have {width} × {height} pixels; a side of {form} has at most "
            f"{LONGEST_SIDE[form]:,}"
        )
    if max(width * height, wanted.resize[0] * wanted.resize[1]) > limits["pixels"]:
        raise TooManyPixels(
            f"variant {variant['name']} would have {width} × {height} pixels; at most {limits['pixels']:,} are made"
        )
    if width * height * frames > limits["total_pixels"]:
        raise TooManyPixels(
            f"variant {variant['name']} would have {frames} frames of {width} × {height} pixels; "
            f"at most {limits['total_pixels']:,} are made in all"
        )
    return Work(variant, form, upright, region, wanted, frames)
