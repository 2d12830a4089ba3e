"""Hostile pictures: cut off at every point of their structure, and bombs by pixel, frame, page, scan and metadata.

Each is the source of an `image.transform` job that asks for one PNG, 32 pixels wide.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from corpus import image_bombs as bombs
from corpus.case import SUCCEEDED, TIMED_OUT, Case
from corpus.image_bombs import MIB, png, png_chunk, small_png
from corpus.image_seeds import NAMES, SIZE, cuts, seed, whole_from

_CUT = {
    "jpeg": "ImageTruncated",
    "png": "NotAnImage or ImageDamaged or ImageTruncated",
    "webp": "NotAnImage",
    "gif": "ImageTruncated",
    "avif": "NotAnImage or ImageTruncated",
    "tiff": "NotAnImage or ImageDamaged",
}
"""What libvips and its codecs make of a picture that breaks off: some cannot tell it from one that never was."""


def cases() -> Iterator[Case]:
    """Every hostile picture."""
    yield from _truncated()
    yield from _pixel_bombs()
    yield from _frame_bombs()
    yield from _metadata_bombs()


def _truncated() -> Iterator[Case]:
    for name in NAMES:
        for offset in cuts(name):
            outcome = SUCCEEDED if offset >= whole_from(name) else _CUT[name.partition("-")[0]]
            yield Case("image cut off", f"{name} at byte {offset}", outcome, lambda n=name, o=offset: seed(n)[:o])


def _pixel_bombs() -> Iterator[Case]:
    def case(name: str, outcome: str, make: Any, **options: Any) -> Case:
        return Case("image bomb by pixel", name, outcome, make, options)

    yield case("png claims 30,000 × 30,000", "TooManyPixels", lambda: png(30_000, 30_000, pixels=bytes(MIB)))
    yield case("png claims 2³¹ − 1 × 2³¹ − 1", "NotAnImage", lambda: png(2**31 - 1, 2**31 - 1))
    yield case("png claims 0 × 0", "NotAnImage", lambda: png(0, 0))
    yield case("png claims 1 × 1,000,000,000", "NotAnImage", lambda: png(1, 1_000_000_000))
    yield case("png is 9,900 × 9,900 of 16 bits and cut", "ImageDamaged", lambda: png(9_900, 9_900, depth=16, colour=6))
    yield case("png is all of 9,900 × 9,900", SUCCEEDED, lambda: bombs.full_png(9_900))
    yield case("png of 9,000 × 9,000 in 300 MiB", "TooManyPixels", lambda: bombs.full_png(9_000),
               limits={"image_memory": 300 * MIB})  # fmt: skip
    yield case("jpeg claims 65,500 × 65,500", "TooManyPixels", lambda: bombs.jpeg_with(size=(65_500, 65_500)))
    yield case("jpeg claims 65,535 × 65,535", "NotAnImage", lambda: bombs.jpeg_with(size=(65_535, 65_535)))
    yield case("jpeg claims 0 × 0", "NotAnImage", lambda: bombs.jpeg_with(size=(0, 0)))
    yield case("jpeg claims 9,000 × 9,000", SUCCEEDED, lambda: bombs.jpeg_with(size=(9_000, 9_000)))
    yield case("webp canvas claims 16,384 × 16,384", "NotAnImage", lambda: bombs.webp_canvas(16_384, 16_384))
    yield case("webp canvas claims 2²⁴ × 2²⁴", "NotAnImage", lambda: bombs.webp_canvas(2**24, 2**24))
    yield case("webp canvas claims 9,000 × 9,000", "NotAnImage", lambda: bombs.webp_canvas(9_000, 9_000))
    yield case("gif screen claims 65,535 × 65,535", SUCCEEDED, lambda: bombs.gif(65_535, 65_535, 1))
    yield case(
        "gif frame is larger than its screen", "TooManyPixels", lambda: bombs.gif(1, 1, 1, frame=(65_535, 65_535))
    )
    yield case("gif screen of 9,000 × 9,000 around one pixel", SUCCEEDED, lambda: bombs.gif(9_000, 9_000, 1))
    width, height = (struct.pack(">I", side) for side in SIZE)
    for name, claim, outcome in (
        ("2³²−1", 2**32 - 1, "NotAnImage"),
        ("60,000", 60_000, "TooManyPixels"),
        ("9,999", 9_999, "ImageDamaged or ImageTruncated"),
    ):
        new = struct.pack(">II", claim, claim)
        yield case(f"avif claims {name} a side", outcome, lambda n=new: bombs.avif_with(width + height, n, b"ispe"))
    yield case("tiff claims 2³² − 1 × 2³² − 1", "NotAnImage", lambda: bombs.grey_tiff(2**32 - 1, 2**32 - 1))
    yield case("tiff claims 100,000 × 100,000", "TooManyPixels", lambda: bombs.grey_tiff(100_000, 100_000))
    yield case("tiff of 65,535 bands", "NotAnImage", lambda: bombs.grey_tiff(64, 64, (277, 3, 1, 65_535)))
    yield case(
        "tiff of 64-bit samples", "NotAnImage", lambda: bombs.grey_tiff(9_000, 9_000, (258, 3, 1, 64), (339, 3, 1, 3))
    )
    yield case("tiff inflates to 9,000 × 9,000", SUCCEEDED, lambda: _deflated_tiff(9_000))
    yield case("variant of 16,383 × 16,383", "TooManyPixels", lambda: seed("png"),
               variant={"width": 16_383, "height": 16_383, "fit": "fill", "enlarge": True})  # fmt: skip
    huge = {"width": 9_000, "height": 9_000, "fit": "fill", "enlarge": True}
    twenty = [{"name": f"v{number}", **huge} for number in range(20)]
    yield case("twenty variants of 9,000 × 9,000", TIMED_OUT, lambda: seed("png"), variants=twenty)


def _frame_bombs() -> Iterator[Case]:
    def case(name: str, outcome: str, make: Any) -> Case:
        return Case("image bomb by frame or page", name, outcome, make, {"variant": {"width": 32, "format": "webp"}})

    yield case("gif of 100,000 frames", "TooManyFrames", lambda: bombs.gif(1, 1, 100_000))
    yield case("gif of 501 frames", "TooManyFrames", lambda: bombs.gif(1, 1, 501))
    yield case("gif of 400 frames of 2,000 × 2,000", "TooManyPixels", lambda: bombs.gif(2_000, 2_000, 400))
    yield case("gif of 400 frames of 900 × 900", "TooManyPixels", lambda: bombs.gif(900, 900, 400))
    yield case("gif without end", SUCCEEDED, lambda: bombs.gif(8, 8, 50)[:-1])
    yield case("gif of endless extensions", SUCCEEDED, lambda: bombs.gif(8, 8, 1)[:-1] + b"\x21\xfe\x01x\0" * 200_000)
    yield case(
        "gif whose code clears for ever",
        "ImageTruncated",
        lambda: bombs.gif(64, 64, 1, frame=(64, 64), code=b"\x02" + b"\xff\x24\x92\x49" * 2000 + b"\0"),
    )
    yield case("webp of 12,000 frames", "TooManyFrames", lambda: bombs.webp_animation(1, 1, 12_000))
    yield case("webp of 300 frames of 4,000 × 4,000", "TooManyPixels", lambda: bombs.webp_animation(4_000, 4_000, 300))
    yield case("tiff of 20,000 pages", SUCCEEDED, lambda: bombs.grey_tiff(8, 8, directories=20_000))
    yield case("tiff whose page is its own successor", SUCCEEDED, lambda: bombs.grey_tiff(8, 8, following=8))
    yield case("tiff whose pages go in a circle", SUCCEEDED, lambda: bombs.grey_tiff(8, 8, directories=3, following=8))


def _metadata_bombs() -> Iterator[Case]:
    def case(name: str, outcome: str, make: Any) -> Case:
        return Case("image bomb by metadata", name, outcome, make)

    yield case(
        "png zTXt of 1 GiB", SUCCEEDED, lambda: small_png(png_chunk(b"zTXt", b"k\0\0" + bombs.zeros(1024 * MIB)))
    )
    yield case(
        "png iTXt of 1 GiB", SUCCEEDED, lambda: small_png(png_chunk(b"iTXt", b"k\0\1\0\0\0" + bombs.zeros(1024 * MIB)))
    )
    yield case(
        "png iCCP of 1 GiB", SUCCEEDED, lambda: small_png(png_chunk(b"iCCP", b"p\0\0" + bombs.zeros(1024 * MIB)))
    )
    yield case("png of 100,000 tEXt chunks", SUCCEEDED, lambda: small_png(png_chunk(b"tEXt", b"k\0v") * 100_000))
    yield case(
        "png of 100 zTXt chunks of 8 MiB",
        SUCCEEDED,
        lambda: small_png(png_chunk(b"zTXt", b"k\0\0" + bombs.zeros(8 * MIB)) * 100),
    )
    yield case("png chunk claims 2 GiB", "NotAnImage", lambda: small_png(png_chunk(b"tEXt", b"k\0v", claim=2**31 - 1)))
    yield case("jpeg icc of 255 segments of zeros", SUCCEEDED, lambda: bombs.jpeg_with(bombs.profile(255)))
    yield case("jpeg icc that claims 4 GiB", SUCCEEDED, lambda: bombs.jpeg_with(bombs.profile(1, claim=2**32 - 1)))
    yield case(
        "jpeg of 600 comments of 64 KB", SUCCEEDED, lambda: bombs.jpeg_with(bombs.segment(0xFE, bytes(65_000)) * 600)
    )
    yield case(
        "jpeg Exif whose directory is its own successor",
        SUCCEEDED,
        lambda: bombs.jpeg_with(bombs.segment(0xE1, _exif_loop())),
    )
    yield case(
        "jpeg Exif of 65,535 entries that are not there",
        SUCCEEDED,
        lambda: bombs.jpeg_with(bombs.segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff")),
    )
    yield case("jpeg of 15 scans", SUCCEEDED, lambda: bombs.scan_bomb(1_000, 1))
    yield case("jpeg of 883 scans of 9,000 × 9,000", "TooManyScans", lambda: bombs.scan_bomb(9_000, 63))
    yield case("jpeg whose only scan comes a thousand times", SUCCEEDED, lambda: bombs.scan_again(1_000))
    yield case(
        "jpeg of 100,000 restart markers", SUCCEEDED, lambda: seed("jpeg")[:-2] + b"\xff\xd0" * 100_000 + b"\xff\xd9"
    )
    yield case(
        "webp XMP of 8 MiB",
        SUCCEEDED,
        lambda: bombs.riff(
            bombs.riff_chunk(b"VP8X", b"\x04\0\0\0" + bombs.u24(95) + bombs.u24(63)),
            seed("webp")[12:],
            bombs.riff_chunk(b"XMP ", bytes(8 * MIB)),
        ),
    )


def _deflated_tiff(side: int) -> bytes:
    packed = bombs.zeros(side * side)
    return bombs.grey_tiff(side, side, (259, 3, 1, 8), (279, 4, 1, len(packed)), tail=packed)


def _exif_loop() -> bytes:
    return b"Exif\0\0" + bombs.tiff([(274, 3, 1, 6), (34665, 4, 1, 8)], following=8)
