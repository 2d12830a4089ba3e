"""Small valid pictures of every format that Holdfast reads, and the places where their structure can be cut.

Deterministic: the same bytes from the same Pillow, whatever the clock and the machine.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Iterator
from typing import Any

from PIL import Image

SIZE = (96, 64)


@functools.cache
def seed(name: str) -> bytes:
    """The bytes of one seed; `NAMES` lists them."""
    form, options = _SEEDS[name]
    if name.endswith("animated"):
        first, *rest = [_picture(number) for number in range(4)]
        options = options | {"save_all": True, "append_images": rest, "duration": 100}
        return _saved(first, form, **options)
    return _saved(_picture(0), form, **options)


def cuts(name: str) -> list[int]:
    """Every offset at which the structure of the seed could be cut off: the ends of its segments, chunks or boxes."""
    data = seed(name)
    walk = _WALKS[_SEEDS[name][0]]
    return [offset for offset in sorted(set(walk(data))) if 0 < offset < len(data)]


def whole_from(name: str) -> int:
    """The offset from which on a cut leaves at least the first picture whole."""
    data = seed(name)
    match name:
        case "png":
            return data.index(b"IEND") - 4
        case "gif":
            return len(data) - 1
        case "gif-animated":
            return data.index(b"\x21\xf9\x04", 900)
        case _:
            return len(data)


def _picture(shift: int) -> Image.Image:
    """Gradients and edges, so that a codec has something to do."""
    picture = Image.linear_gradient("L").resize(SIZE)
    other = Image.radial_gradient("L").resize(SIZE).rotate(90 * shift)
    return Image.merge("RGB", (picture, other, picture.rotate(180)))


def _saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


_SEEDS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {"quality": 85}),
    "jpeg-progressive": ("JPEG", {"quality": 85, "progressive": True}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 80}),
    "webp-lossless": ("WEBP", {"lossless": True}),
    "webp-animated": ("WEBP", {"quality": 80}),
    "gif": ("GIF", {}),
    "gif-animated": ("GIF", {}),
    "avif": ("AVIF", {"quality": 60, "max_threads": 1}),
    "tiff": ("TIFF", {}),
    "tiff-deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
}
NAMES = tuple(_SEEDS)


def jpeg_segments(data: bytes) -> Iterator[int]:
    """The end of each marker segment, and of each scan."""
    offset = 2
    yield offset
    while offset + 4 <= len(data):
        marker, length = data[offset + 1], struct.unpack_from(">H", data, offset + 2)[0]
        offset += 2 + length
        yield offset
        if marker == 0xDA:
            while not (data[offset] == 0xFF and data[offset + 1] not in (0, *range(0xD0, 0xD8))):
                offset += 1
            yield offset
        if data[offset + 1] == 0xD9:
            return


def png_chunks(data: bytes) -> Iterator[int]:
    """The end of the signature, and of each chunk's header, data and checksum."""
    offset = 8
    yield offset
    while offset < len(data):
        length = struct.unpack_from(">I", data, offset)[0]
        yield from (offset + 8, offset + 8 + length // 2, offset + 8 + length, offset + 12 + length)
        offset += 12 + length


def riff_chunks(data: bytes) -> Iterator[int]:
    """The end of the header, and of each chunk's header and first half and data."""
    offset = 12
    yield offset
    while offset + 8 <= len(data):
        length = struct.unpack_from("<I", data, offset + 4)[0]
        yield from (offset + 8, offset + 8 + length // 2, offset + 8 + length + length % 2)
        offset += 8 + length + length % 2


def gif_blocks(data: bytes) -> Iterator[int]:
    """The end of the header, the screen, the tables and each block."""
    offset = 13
    yield from (6, offset)
    offset += _table(data[10])
    yield offset
    while data[offset] != 0x3B:
        if data[offset] == 0x2C:
            offset += 10
            yield offset
            offset += _table(data[offset - 1]) + 1
        else:
            offset += 2
        yield offset
        while data[offset]:
            offset += 1 + data[offset]
        offset += 1
        yield offset


def _table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[int]:
    """The ends of the boxes of an AVIF file, those within `meta` included."""
    offset, end = start, len(data) if end is None else end
    while offset + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, offset)
        yield from (offset + 8, offset + length // 2)
        if kind in (b"meta", b"iprp", b"ipco"):
            yield from boxes(data, offset + (12 if kind == b"meta" else 8), offset + length)
        offset += length
        yield offset


def tiff_parts(data: bytes) -> Iterator[int]:
    """The ends of the header, of the directory's count and entries, and points within the strips."""
    directory = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, directory)[0]
    yield from (4, 8, directory, directory + 2, directory + 2 + 12 * count, directory + 6 + 12 * count)
    yield from (directory + 2 + 12 * number for number in range(count))
    yield from (len(data) // 2, len(data) * 3 // 4, len(data) - 1)


_WALKS = {"JPEG": jpeg_segments, "PNG": png_chunks, "WEBP": riff_chunks, "GIF": gif_blocks, "AVIF": boxes} | {
    "TIFF": tiff_parts
}
