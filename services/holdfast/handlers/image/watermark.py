"""A watermark, of text or a picture, over every frame of a variant."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import pyvips

from holdfast.handlers.image.decoding import decoded
from holdfast.handlers.image.errors import ImageDamaged, ImageTruncated, NotAnImage, WatermarkInvalid
from holdfast.handlers.image.geometry import place
from holdfast.handlers.image.header import opened
from holdfast.handlers.image.libvips import reason, refusing
from holdfast.handlers.image.pixels import resized, rgb, srgb
from holdfast.handlers.image.work import Work


def watermarked(image: Any, work: Work, mark: Mapping[str, Any], limits: Mapping[str, int]) -> Any:
    """Lay the mark over every frame."""
    size = work.plan.result
    margin = round(min(size) * mark["margin"])
    room = (max(1, size[0] - 2 * margin), max(1, size[1] - 2 * margin))
    overlay = _text(mark) if mark["text"] is not None else _picture(mark["source"], limits)
    scale = min(size[0] * mark["scale"] / overlay.width, room[0] / overlay.width, room[1] / overlay.height)
    overlay = resized(overlay, (max(1, round(overlay.width * scale)), max(1, round(overlay.height * scale))))
    overlay = overlay * [1, 1, 1, mark["opacity"]]
    left, top = place(size, (overlay.width, overlay.height), mark["gravity"], margin)
    if work.frames > 1:
        overlay = overlay.embed(left, top, *size, extend="black").replicate(1, work.frames)
        left = top = 0
    over = image.composite2(overlay.cast("uchar").copy(interpretation="srgb"), "over", x=left, y=top)
    return (over if image.hasalpha() else over[0:3]).cast("uchar")


def _text(mark: Mapping[str, Any]) -> Any:
    """One line of text as a picture; escaped, because Pango would read it as markup."""
    with refusing(lambda error: WatermarkInvalid(f"the text of the watermark cannot be drawn: {reason(error)}")):
        mask = pyvips.Image.text(html.escape(mark["text"]), font="sans bold 96", dpi=96)
    paint = mask.new_from_image(rgb(mark["colour"])).copy(interpretation="srgb")
    return paint.bandjoin(mask).cast("uchar").copy_memory()


def _picture(data: bytes, limits: Mapping[str, int]) -> Any:
    try:
        picture = decoded(opened(data, limits), limits)
    except (NotAnImage, ImageTruncated, ImageDamaged) as error:
        raise _unusable(error) from error
    with refusing(_unusable):
        image = srgb(picture.autorot())
    return image if image.hasalpha() else image.addalpha()


def _unusable(error: Exception) -> WatermarkInvalid:
    return WatermarkInvalid(f"the watermark cannot be used: {reason(error)}")
