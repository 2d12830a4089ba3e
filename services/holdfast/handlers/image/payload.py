"""What an `image.transform` job asks for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from holdfast.handlers.source import Source

Format = Literal["jpeg", "png", "webp", "avif", "gif"]
Side = Annotated[int, Field(ge=1, le=16_383)]
"""A side in pixels; 16,383 is the most that WebP holds."""
Place = Literal[
    "centre", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"
]  # fmt: skip
Gravity = Place | Literal["attention", "entropy"]

_COLOURS = {"white": "#ffffff", "black": "#000000", "grey": "#808080", "red": "#ff0000", "green": "#008000"} | {
    "blue": "#0000ff",
    "yellow": "#ffff00",
}
_QUALITY = ("jpeg", "webp", "avif")
_LOSSLESS = ("webp", "avif")


def _colour(value: str) -> str:
    """#rrggbb."""
    text = _COLOURS.get(value.lower(), value.lower())
    digits = text.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    if not text.startswith("#") or len(digits) != 6 or any(digit not in "0123456789abcdef" for digit in digits):
        raise ValueError(f"give a colour as #rgb or #rrggbb, or one of {', '.join(sorted(_COLOURS))}")
    return f"#{digits}"


Colour = Annotated[str, Field(max_length=16), AfterValidator(_colour)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Crop(_Strict):
    """A rectangle of the upright picture, in its own pixels."""

    left: int = Field(ge=0)
    top: int = Field(ge=0)
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class Watermark(_Strict):
    """A picture or a line of text over the result: exactly one of `source` and `text`."""

    source: Source | None = None
    text: str | None = Field(default=None, min_length=1, max_length=200)
    gravity: Place = "southeast"
    opacity: float = Field(default=0.5, gt=0, le=1)
    scale: float = Field(default=0.25, gt=0, le=1)
    """Its width as a part of the result's width."""
    margin: float = Field(default=0.03, ge=0, le=0.4)
    """Its distance from the edges as a part of the result's shorter side."""
    colour: Colour = "#ffffff"
    """Of the text."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Watermark:
        if (self.source is None) == (self.text is None):
            raise ValueError("give exactly one of source and text")
        return self


class Variant(_Strict):
    """One result. In this order: upright by Exif, `rotate`, `crop`, resize, `watermark`, `background`, encode."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    """The artifact's name without its extension, which follows from the format."""
    width: Side | None = None
    height: Side | None = None
    fit: Literal["cover", "contain", "fill", "inside", "outside"] = "inside"
    gravity: Gravity = "centre"
    """What `cover` keeps; `attention` and `entropy` look for it (and mean `centre` in animations)."""
    enlarge: bool = False
    """Without it a small picture stays small: no result has more pixels a side than the source gives."""
    auto_orient: bool = True
    rotate: Literal[0, 90, 180, 270] = 0
    """Degrees, clockwise."""
    crop: Crop | None = None
    watermark: Watermark | None = None
    format: Format | None = None
    """Default: the source's own, or JPEG when the source's is not one of these."""
    quality: int | None = Field(default=None, ge=1, le=100)
    """Default: 80 for JPEG and WebP, 50 for AVIF (whose scale is another)."""
    lossless: bool = False
    background: Colour | None = None
    """Laid under transparent parts. Default: none; white where the format knows no transparency."""

    @model_validator(mode="after")
    def _fits_together(self) -> Variant:
        if self.fit != "inside" and (self.width is None or self.height is None):
            raise ValueError(f"fit {self.fit} needs both width and height")
        if self.quality is not None and self.format not in (None, *_QUALITY):
            raise ValueError(f"quality is for {', '.join(_QUALITY)}; {self.format} is lossless")
        if self.lossless and self.format not in (None, *_LOSSLESS):
            raise ValueError(f"lossless is a choice for {', '.join(_LOSSLESS)} only")
        return self


class ImagePayload(_Strict):
    """One source, one decode, up to twenty results."""

    source: Source
    variants: list[Variant] = Field(min_length=1, max_length=20)

    @model_validator(mode="after")
    def _unique_names(self) -> ImagePayload:
        names = [variant.name for variant in self.variants]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"variant names must be unique; given more than once: {', '.join(twice)}")
        return self
