"""Pictures of a few kilobytes that claim, or decode into, far more than a worker has."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable

from PIL import Image

from corpus.image_seeds import seed

MIB = 1024 * 1024


def png_chunk(kind: bytes, data: bytes, *, claim: int | None = None) -> bytes:
    """One chunk; `claim` is the length that it gives instead of its own."""
    length = len(data) if claim is None else claim
    return struct.pack(">I", length) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *extra: bytes, pixels: bytes = b"", colour: int = 2, depth: int = 8) -> bytes:
    """A PNG with these extra chunks before its (too few) pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = png_chunk(b"IDAT", zlib.compress(pixels, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + b"".join(extra) + body


def small_png(*extra: bytes) -> bytes:
    """A good PNG of 8 × 8 pixels with these chunks in it."""
    return png(8, 8, *extra, pixels=(b"\0" + b"\x80" * 24) * 8)


def zeros(size: int) -> bytes:
    """`size` zeros as a zlib stream, a thousand times smaller."""
    return b"\x78\xda" + _deflated_zeros(size) + struct.pack(">HH", size % 65521, 1)


def gzip_zeros(size: int) -> bytes:
    """`size` zeros in gzip. Its checksum is wrong, but nobody should come as far as that."""
    return b"\x1f\x8b\x08" + bytes(7) + _deflated_zeros(size) + bytes(4) + struct.pack("<I", size % 2**32)


def _deflated_zeros(size: int) -> bytes:
    """A block of 1 MiB, repeated: nobody holds them all."""
    squeeze = zlib.compressobj(9, wbits=-15)
    block = squeeze.compress(bytes(MIB)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, wbits=-15)
    return block * (size // MIB) + rest.compress(bytes(size % MIB)) + rest.flush()


def full_png(side: int) -> bytes:
    """A PNG that is honest about its size and has all of its (black) pixels: a few hundred kilobytes."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    rows = zeros(side * (3 * side + 1))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def jpeg_with(*segments: bytes, size: tuple[int, int] | None = None) -> bytes:
    """The seed with segments put in after its start, and perhaps with another size in its frame header."""
    data = bytearray(seed("jpeg"))
    if size:
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">HH", *size)
    return bytes(data[:2] + b"".join(segments) + data[2:])


def segment(marker: int, data: bytes) -> bytes:
    """A JPEG marker segment."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def profile(parts: int, claim: int | None = None) -> bytes:
    """An ICC profile of `parts` segments of zeros, 64 KB each."""
    each = 65_000
    head = struct.pack(">I", claim or parts * each) + bytes(32) + b"acsp" + bytes(each - 40)
    bodies = [head, *[bytes(each)] * (parts - 1)]
    return b"".join(
        segment(0xE2, b"ICC_PROFILE\0" + bytes((number % 256, parts % 256)) + body)
        for number, body in enumerate(bodies, 1)
    )


def scan_again(times: int) -> bytes:
    """The seed with its one scan, which has all there is, so many times: not interlaced, so nobody counts them."""
    data = seed("jpeg")
    begin = data.index(b"\xff\xda")
    return data[:begin] + data[begin:-2] * times + data[-2:]


def scan_bomb(side: int, coefficients: int) -> bytes:
    """A progressive JPEG, grey and black, that refines each of its coefficients 14 times, as the standard allows.

    Every scan says "no block has anything to say" in a few bytes, and makes a decoder walk all blocks once more.
    """
    blocks = (-(-side // 8)) ** 2
    frame = segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\0")
    quantum = segment(0xDB, b"\0" + b"\x01" * 64)
    tables = segment(0xC4, b"\0\x01" + bytes(15) + b"\0") + segment(0xC4, b"\x10\x01" + bytes(15) + b"\xe0")
    direct = segment(0xDA, b"\x01\x01\0\0\0\0") + _bits("0" * blocks)
    walk = _bits(("0" + "1" * 14) * -(-blocks // 32_767))  # each: the next 32,767 blocks are at their end
    passes = [(0, 13), *((low + 1, low) for low in reversed(range(13)))]
    scans = b"".join(
        segment(0xDA, bytes((1, 1, 0, number, number, high << 4 | low))) + walk
        for number in range(1, coefficients + 1)
        for high, low in passes
    )
    return b"\xff\xd8" + quantum + frame + tables + direct + scans + b"\xff\xd9"


def _bits(text: str) -> bytes:
    """Entropy-coded bits: filled up with ones, and each 0xFF followed by a zero."""
    filled = text + "1" * (-len(text) % 8)
    return int(filled, 2).to_bytes(len(filled) // 8, "big").replace(b"\xff", b"\xff\0")


def gif(
    width: int, height: int, frames: int, *, frame: tuple[int, int] = (1, 1), code: bytes = b"\x02\x02\x44\x01\0"
) -> bytes:
    """An animation of `frames` tiny frames on a screen of `width` × `height`."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    one = b"\x21\xf9\x04\0\0\0\0\0" + b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0) + code
    return screen + one * frames + b"\x3b"


def riff(*chunks: bytes, claim: int | None = None) -> bytes:
    """A WebP file of these chunks; `claim` is the length that its header gives instead of its own."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if claim is None else claim) + body


def riff_chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def u24(number: int) -> bytes:
    return number.to_bytes(3, "little")


def webp_animation(width: int, height: int, frames: int) -> bytes:
    """An animated WebP, each of whose frames is the same 1 × 1 picture."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "WEBP", lossless=True)
    image = buffer.getvalue()[12:]
    head = riff_chunk(b"VP8X", b"\x02\0\0\0" + u24(width - 1) + u24(height - 1))
    one = riff_chunk(b"ANMF", bytes(6) + u24(0) + u24(0) + u24(10) + b"\0" + image)
    return riff(head, riff_chunk(b"ANIM", bytes(6)), *[one] * frames)


def webp_canvas(width: int, height: int) -> bytes:
    """A WebP whose extended header lies about the size of the picture in it."""
    head = riff_chunk(b"VP8X", bytes(4) + u24(width - 1) + u24(height - 1))
    return riff(head, seed("webp")[12:])


Tag = tuple[int, int, int, int]
"""Number, type (3 = 16 bits, 4 = 32 bits), count, value or offset."""


def tiff(tags: Iterable[Tag], *, following: int = 0, tail: bytes = b"", directories: int = 1) -> bytes:
    """A TIFF of directories of these tags in a row; the last one points to `following`, and `tail` comes behind it."""
    entries = sorted(tags)
    size = 2 + 12 * len(entries) + 4
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *tag) for tag in entries)
    after = [*(8 + size * number for number in range(1, directories)), following]
    return b"II*\0" + struct.pack("<I", 8) + b"".join(body + struct.pack("<I", at) for at in after) + tail


def grey_tiff(
    width: int, height: int, *more: Tag, directories: int = 1, following: int = 0, tail: bytes = b""
) -> bytes:
    """An 8-bit grey TIFF in one strip that lies behind its directories, with more tags, which win."""
    count = len({256, 257, 258, 259, 262, 273, 277, 278, 279} | {tag[0] for tag in more})
    start = 8 + (2 + 12 * count + 4) * directories
    tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1)}
    tags |= {273: (4, 1, start), 277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, width * height % 2**32)}
    tags |= {tag[0]: tag[1:] for tag in more}
    listed = [(number, *rest) for number, rest in tags.items()]
    return tiff(listed, directories=directories, following=following, tail=tail or bytes(min(width * height, 4096)))


def avif_with(old: bytes, new: bytes, after: bytes) -> bytes:
    """The AVIF seed with bytes replaced behind the box `after`; both must be of the same length."""
    data = seed("avif")
    place = data.index(old, data.index(after))
    assert len(old) == len(new)
    return data[:place] + new + data[place + len(old) :]
