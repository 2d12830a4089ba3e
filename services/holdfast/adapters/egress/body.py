"""Reading answers that may be endless, and decoding ones that may be bombs.

Nothing here ever holds more than the cap plus one chunk: a body is read chunk by chunk, and a compressed one is
decompressed with a bounded output, so 10 GB of zeros in a 10 MB gzip stop at the cap like any other long answer.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.adapters.egress.exchange import Answer
from holdfast.domain.errors import Rejected
from holdfast.ports.egress import Unreachable

CHUNK = 64 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
"""Tells zlib to recognise either header."""


class Decoder(Protocol):
    """Turns what came over the wire into the body, at most `room` bytes at a time."""

    def feed(self, data: bytes, room: int) -> bytes:
        """Decode `data`, stopping after `room` bytes of output."""
        ...

    def finished(self) -> bool:
        """Whether the encoded stream came to its proper end."""
        ...


class Identity:
    """No encoding."""

    def feed(self, data: bytes, room: int) -> bytes:
        """The first `room` bytes."""
        return data[:room]

    def finished(self) -> bool:
        """Nothing marks the end of a plain body but HTTP itself."""
        return True


@dataclass(slots=True)
class Inflate:
    """gzip and deflate; a gzip body may have several members (RFC 1952, 2.2)."""

    _stream: zlib._Decompress = field(default_factory=lambda: zlib.decompressobj(_GZIP_OR_ZLIB))

    def feed(self, data: bytes, room: int) -> bytes:
        """Decompress at most `room` bytes; the caller stops there, so what is left over is never decoded."""
        out = bytearray()
        try:
            while data and len(out) < room:
                if self._stream.eof:
                    self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
                out += self._stream.decompress(data, room - len(out))
                data = self._stream.unused_data
        except zlib.error as error:
            raise Unreachable(f"the answer says it is compressed but is not: {error}", error="BrokenResponse") from None
        return bytes(out)

    def finished(self) -> bool:
        """Whether the end of the stream was seen."""
        return self._stream.eof


def decoder_for(answer: Answer) -> Decoder:
    """The decoder of the answer's Content-Encoding.

    We ask for `identity`, but objects that are *stored* compressed (S3, CDNs) are served so all the same. gzip and
    deflate can be decoded within a bound by the standard library; br, zstd and stacked encodings are refused.
    """
    encoding = answer.headers.get("Content-Encoding", "").strip().lower()
    if encoding in {"", "identity"}:
        return Identity()
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return Inflate()
    raise Rejected(
        f"the answer is encoded as {encoding!r} although identity was asked for; serve it plain or as gzip",
        error="UnsupportedEncoding",
    )


async def read_capped(answer: Answer, limit: int, decoder: Decoder) -> tuple[bytes, bool]:
    """Read at most `limit` decoded bytes; return them and whether there was more.

    When there was more, the connection is closed rather than drained.
    """
    body = bytearray()
    while chunk := await answer.content.read(CHUNK):
        body += decoder.feed(chunk, limit + 1 - len(body))
        if len(body) > limit:
            answer.close()
            return bytes(body[:limit]), True
    if body and not decoder.finished():
        raise Unreachable("the compressed answer broke off before its end", error="BrokenResponse")
    return bytes(body), False
