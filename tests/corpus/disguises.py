"""Hostile pictures: lies in their parts, fake headers, other things under the name of a picture, two things at once.

Each is the source of an `image.transform` job that asks for one PNG, 32 pixels wide.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image

from corpus import image_bombs as bombs
from corpus.case import SUCCEEDED, Case
from corpus.image_bombs import MIB, png, png_chunk, small_png
from corpus.image_seeds import seed

HTML = b"<!doctype html><html><script>alert(document.domain)</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///etc/passwd"/></svg>'


def cases() -> Iterator[Case]:
    """Every picture that is not what it says."""
    yield from _lies()
    yield from _fake_headers()
    yield from _disguises()
    yield from _polyglots()


def _lies() -> Iterator[Case]:
    def case(name: str, outcome: str, make: Any) -> Case:
        return Case("image that lies about its parts", name, outcome, make)

    yield case("webp header claims 4 GiB", "NotAnImage", lambda: bombs.riff(seed("webp")[12:], claim=2**32 - 2))
    yield case("webp header claims nothing", "NotAnImage", lambda: bombs.riff(seed("webp")[12:], claim=0))
    yield case(
        "webp frame outside of its canvas",
        "NotAnImage",
        lambda: bombs.webp_animation(1, 1, 2).replace(bytes(6) + bytes(6), b"\xff" * 6 + bytes(6)),
    )
    yield case(
        "webp alpha without a picture",
        "NotAnImage",
        lambda: bombs.riff(
            bombs.riff_chunk(b"VP8X", b"\x10\0\0\0" + bombs.u24(7) + bombs.u24(7)), bombs.riff_chunk(b"ALPH", bytes(64))
        ),
    )
    yield case(
        "tiff strip beyond the end of the file", "ImageDamaged", lambda: bombs.grey_tiff(64, 64, (273, 4, 1, 2**31))
    )
    yield case(
        "tiff of 2³² − 1 strips",
        "ImageDamaged",
        lambda: bombs.grey_tiff(64, 64, (273, 4, 2**32 - 1, 8), (279, 4, 2**32 - 1, 8)),
    )
    yield case("tiff of no rows a strip", "NotAnImage", lambda: bombs.grey_tiff(64, 64, (278, 4, 1, 0)))
    yield case(
        "tiff tiles of 2³¹ a side",
        "NotAnImage",
        lambda: bombs.grey_tiff(64, 64, (322, 4, 1, 2**31), (323, 4, 1, 2**31), (324, 4, 1, 8), (325, 4, 1, 8)),
    )
    yield case(
        "tiff tiles of no width",
        "NotAnImage",
        lambda: bombs.grey_tiff(64, 64, (322, 4, 1, 0), (323, 4, 1, 0), (324, 4, 1, 8), (325, 4, 1, 8)),
    )
    yield case(
        "tiff tiles of 30,000 a side",
        "NotAnImage",
        lambda: bombs.grey_tiff(64, 64, (322, 4, 1, 30_000), (323, 4, 1, 30_000), (324, 4, 1, 8), (325, 4, 1, 8)),
    )
    yield case("tiff says JPEG and is none", "ImageDamaged", lambda: bombs.grey_tiff(64, 64, (259, 3, 1, 7)))
    yield case("tiff of an unknown compression", "ImageDamaged", lambda: bombs.grey_tiff(64, 64, (259, 3, 1, 34_892)))
    yield case(
        "tiff with a colour map that is not there",
        SUCCEEDED,
        lambda: bombs.grey_tiff(64, 64, (262, 3, 1, 3), (320, 3, 768, 2**30)),
    )
    yield case(
        "bigtiff whose directory is at 2⁶³",
        "NotAnImage",
        lambda: b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**63) + bytes(64),
    )
    yield case("avif item beyond the end of the file", "ImageTruncated", _avif_item)
    yield case(
        "avif box claims 2⁶⁴ − 1",
        "NotAnImage",
        lambda: seed("avif")[:32] + struct.pack(">I4sQ", 1, b"meta", 2**64 - 1) + seed("avif")[40:],
    )
    yield case("avif of 10,000 nested boxes", "NotAnImage", lambda: _nested_boxes(10_000))
    yield case("png with a wrong checksum", "ImageDamaged", lambda: seed("png")[:-20] + b"\0" * 4 + seed("png")[-16:])
    yield case("png without a palette", "NotAnImage", lambda: png(8, 8, colour=3, pixels=bytes(72)))
    yield case("png whose pixels are too many", SUCCEEDED, lambda: png(8, 8, pixels=bytes(50 * MIB)))
    yield case(
        "png of random pixels",
        "ImageDamaged",
        lambda: small_png().replace(zlib.compress((b"\0" + b"\x80" * 24) * 8, 9), random.Random(1).randbytes(14)),
    )
    yield case("jpeg of arithmetic coding", SUCCEEDED, lambda: seed("jpeg").replace(b"\xff\xc0", b"\xff\xc9"))
    yield case("jpeg of lossless coding", "ImageDamaged", lambda: seed("jpeg").replace(b"\xff\xc0", b"\xff\xc3"))
    yield case(
        "jpeg of 12 bits",
        "ImageDamaged",
        lambda: seed("jpeg").replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    )
    yield case("jpeg without Huffman tables", SUCCEEDED, lambda: seed("jpeg").replace(b"\xff\xc4", b"\xff\xfe"))
    yield case(
        "gif whose code size is 12", "NotAnImage", lambda: bombs.gif(8, 8, 1, frame=(8, 8), code=b"\x0c\x02\x44\x01\0")
    )
    yield case("gif without a frame", "NotAnImage", lambda: bombs.gif(8, 8, 0))


def _fake_headers() -> Iterator[Case]:
    heads = {
        "jpeg": b"\xff\xd8\xff\xe0",
        "png": b"\x89PNG\r\n\x1a\n",
        "gif": b"GIF89a",
        "webp": b"RIFF\xff\xff\0\0WEBPVP8 ",
        "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
        "tiff": b"II*\0",
        "tiff (big-endian)": b"MM\0*",
    }
    for name, head in heads.items():
        noise = random.Random(name).randbytes(4096)
        for what, rest in (("alone", b""), ("and zeros", bytes(4096)), ("and noise", noise)):
            yield Case(
                "image with a fake header",
                f"{name} magic {what}",
                "NotAnImage or ImageTruncated",
                lambda h=head, r=rest: h + r,
            )


def _disguises() -> Iterator[Case]:
    things: dict[str, bytes] = {
        "nothing": b"",
        "svg": SVG,
        "svg behind a declaration": b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        + SVG,
        "svgz": zlib.compress(SVG, wbits=31),
        "html": HTML,
        "pdf": b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction 2 0 R>>endobj\n",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n",
        "magick vector graphics": b"push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 'https://127.0.0.1/'\n",
        "magick script": b'<?xml version="1.0"?><image><read filename="/etc/passwd"/></image>',
        "magick label": b"label:@/etc/passwd",
        "exr": b"v/1\x01\x02\0\0\0channels\0chlist\0",
        "radiance": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2 +X 2\n12345678",
        "ppm": b"P6\n2 2\n255\n123456789012",
        "pfm": b"PF\n2 2\n-1.0\n" + bytes(48),
        "vips' own": b"\xb6\xa6\xf2\x08" + bytes(4096),
        "fits": b"SIMPLE  =                    T".ljust(80) + b"NAXIS   =                    2".ljust(80) + bytes(2720),
        "matlab": b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\x01IM" + bytes(64),
        "nifti": struct.pack("<I", 348) + bytes(340) + b"n+1\0",
        "csv": b"1,2,3\n4,5,6\n",
        "jpeg xl": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64),
        "jpeg 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(64),
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + seed("avif")[32:],
        "mp4": b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + bytes(64),
        "bmp": _saved("BMP"),
        "ico": _saved("ICO"),
        "photoshop": b"8BPS\0\x01" + bytes(64),
        "zip": _zipped(),
        "gzip bomb": zlib.compress(bytes(16 * MIB), 9, wbits=31),
        "elf": b"\x7fELF\x02\x01\x01" + bytes(64),
        "shell script": b"#!/bin/sh\nid >/tmp/owned\n",
        "text": b"just some text",
        "one byte": b"\xff",
        "dicom": bytes(128) + b"DICM" + bytes(64),
    }
    for name, thing in things.items():
        outcome = "ImageTruncated" if name == "heic" else "NotAnImage"
        yield Case("something else named picture.jpg", name, outcome, lambda t=thing: t)


def _polyglots() -> Iterator[Case]:
    def case(name: str, outcome: str, make: Any) -> Case:
        return Case("picture that is also something else", name, outcome, make)

    yield case("gif and zip", SUCCEEDED, lambda: seed("gif") + _zipped())
    yield case("jpeg and zip", SUCCEEDED, lambda: seed("jpeg") + _zipped())
    yield case("png and html behind its end", SUCCEEDED, lambda: seed("png") + HTML)
    yield case("jpeg with html in a comment", SUCCEEDED, lambda: bombs.jpeg_with(bombs.segment(0xFE, HTML)))
    yield case(
        "png with php in a text chunk",
        SUCCEEDED,
        lambda: small_png(png_chunk(b"tEXt", b"c\0<?php system($_GET[0]); ?>")),
    )
    yield case("jpeg with a pdf in a comment", SUCCEEDED, lambda: bombs.jpeg_with(bombs.segment(0xFE, b"%PDF-1.7\n")))
    yield case("gif and javascript", SUCCEEDED, lambda: b"GIF89a/*" + seed("gif")[8:] + b"*/=1;alert(1)")
    yield case("webp and html", SUCCEEDED, lambda: seed("webp") + HTML)
    yield case("tiff and elf", SUCCEEDED, lambda: seed("tiff") + b"\x7fELF" + bytes(64))
    yield case("html and jpeg", "NotAnImage", lambda: HTML + seed("jpeg"))
    yield case("zip and jpeg", "NotAnImage", lambda: _zipped() + seed("jpeg"))
    yield case("svg in front of a png", "NotAnImage", lambda: SVG + seed("png"))


def _avif_item() -> bytes:
    data = bytearray(seed("avif"))
    place = data.index(b"iloc") + 4
    data[place + 14 : place + 18] = struct.pack(">I", 2**31)
    return bytes(data)


def _nested_boxes(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = struct.pack(">I4s", len(body) + 8, b"iprp") + body
    head = seed("avif")[:32]
    return head + struct.pack(">I4sI", len(body) + 12, b"meta", 0) + body


def _saved(form: str) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(seed("png"))).save(buffer, form)
    return buffer.getvalue()


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("owned.txt", (1980, 1, 1, 0, 0, 0)), "owned")
    return buffer.getvalue()
