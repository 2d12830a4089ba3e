"""Servers that answer to do harm: each writes what no honest server would, or writes it for ever.

Outcomes are those of a fetch with a cap of 64 KiB and a timeout of half a second. `harmless` answers are read.
"""

# ruff: noqa: E501 (one attack a line)

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from corpus.image_bombs import MIB, gzip_zeros, zeros

Write = Callable[[bytes], Awaitable[None]]
Script = Callable[[Write], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"
CAP = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """One server. `then` says what follows the script: `wait` for the client, or `close`."""

    family: str
    name: str
    outcome: str
    script: Script
    then: str = "wait"

    @property
    def id(self) -> str:
        return f"{self.family}: {self.name}"

    @property
    def outcomes(self) -> frozenset[str]:
        """The names of which one must come out."""
        return frozenset(self.outcome.split(" or "))


def says(*parts: bytes) -> Script:
    """Write these, once."""

    async def script(write: Write) -> None:
        await write(b"".join(parts))

    return script


def repeats(first: bytes, again: bytes, pause: float = 0.0) -> Script:
    """Write the first, then the other for ever, with a pause in seconds between."""

    async def script(write: Write) -> None:
        await write(first)
        while True:
            await write(again)
            await asyncio.sleep(pause)

    return script


def body(content: bytes, *headers: bytes) -> bytes:
    """An honest answer."""
    return OK + b"".join(line + b"\r\n" for line in headers) + b"Content-Length: %d\r\n\r\n" % len(content) + content


BOMB = 200 * MIB
GZIP_OF_GZIP = gzip.compress(gzip_zeros(32 * MIB), mtime=0)
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = b"Content-Encoding: gzip"
DRIP, FLOOD = 0.02, 0.0

ANSWERS: tuple[Answer, ...] = (
    Answer("answer that drips", "status line", "ReadTimeout or BrokenResponse", repeats(b"HTTP/1.1 ", b"2", DRIP)),
    Answer("answer that drips", "headers", "ReadTimeout", repeats(OK + b"X: ", b"x", DRIP)),
    Answer("answer that drips", "body", "ReadTimeout", repeats(OK + b"Content-Length: 9999\r\n\r\n", b"x", DRIP)),
    Answer("answer that drips", "chunks", "ReadTimeout", repeats(CHUNKED, b"1\r\nx\r\n", DRIP)),
    Answer("answer that drips", "chunk sizes", "ReadTimeout or BrokenResponse", repeats(CHUNKED, b"0", DRIP)),
    Answer("answer that drips", "trailers", "ReadTimeout", repeats(CHUNKED + b"0\r\n", b"X: x\r\n", DRIP)),
    Answer("answer that drips", "nothing at all", "ReadTimeout", says(b"")),
    Answer("answer that drips", "gzip members of nothing", "ReadTimeout",
           repeats(OK + GZIP + b"\r\nConnection: close\r\n\r\n", gzip.compress(b"", mtime=0), DRIP)),
    Answer("answer without end", "one header", "BrokenResponse", repeats(OK + b"X: ", b"x" * 4096)),
    Answer("answer without end", "headers", "BrokenResponse", repeats(OK, b"X: x\r\n" * 512)),
    Answer("answer without end", "status line", "BrokenResponse", repeats(b"HTTP/1.1 200 ", b"O" * 4096)),
    Answer("answer without end", "body", "TooLarge", repeats(OK + b"Connection: close\r\n\r\n", b"x" * CAP)),
    Answer("answer without end", "chunks", "TooLarge", repeats(CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n")),
    Answer("answer without end", "tiny chunks", "TooLarge", repeats(CHUNKED, b"1\r\nx\r\n" * 512)),
    Answer("answer without end", "chunk extensions", "BrokenResponse or ReadTimeout", repeats(CHUNKED + b"1;x=", b"x" * 4096)),
    Answer("answer without end", "trailers", "BrokenResponse or ReadTimeout", repeats(CHUNKED + b"0\r\n", b"X: x\r\n" * 512)),
    Answer("answer without end", "interim answers", "ReadTimeout or BrokenResponse",
           repeats(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 64)),
    Answer("answer without end", "empty lines before it", "BrokenResponse or ReadTimeout", repeats(b"", b"\r\n" * 1024)),
    Answer("answer without end", "gzip of nothing", "harmless or ReadTimeout",
           repeats(OK + GZIP + b"\r\nContent-Length: 65536\r\n\r\n", gzip.compress(b"", mtime=0) * 64)),
    Answer("answer that is a bomb", "gzip of 200 MiB", "TooLarge", says(OK + GZIP + b"\r\nConnection: close\r\n\r\n" + gzip_zeros(BOMB))),
    Answer("answer that is a bomb", "gzip in gzip", "harmless", says(body(GZIP_OF_GZIP, GZIP))),
    Answer("answer that is a bomb", "gzip in gzip, both announced", "UnsupportedEncoding", says(body(GZIP_OF_GZIP, GZIP + b", gzip"))),
    Answer("answer that is a bomb", "brotli", "UnsupportedEncoding", says(body(b"x" * 99, b"Content-Encoding: br"))),
    Answer("answer that is a bomb", "zstd", "UnsupportedEncoding", says(body(b"x" * 99, b"Content-Encoding: zstd"))),
    Answer("answer that is a bomb", "deflate of 200 MiB", "TooLarge",
           says(OK + b"Content-Encoding: deflate\r\nConnection: close\r\n\r\n" + zeros(BOMB)), "close"),
    Answer("answer that is a bomb", "2,000 headers", "BrokenResponse", says(OK, b"".join(b"X-%d: x\r\n" % n for n in range(2000)), b"\r\n")),
    Answer("answer that is a bomb", "a cookie of 70 KB", "BrokenResponse", says(OK, b"Set-Cookie: ", b"x" * 70_000, b"\r\n\r\n")),
    Answer("answer that lies", "length of 10¹⁸", "TooLarge", says(OK + b"Content-Length: 1000000000000000000\r\n\r\nx")),
    Answer("answer that lies", "length past 2⁶⁴", "TooLarge or BrokenResponse", says(OK + b"Content-Length: 99999999999999999999999\r\n\r\nx")),
    Answer("answer that lies", "negative length", "BrokenResponse", says(OK + b"Content-Length: -1\r\n\r\nx")),
    Answer("answer that lies", "length in letters", "BrokenResponse", says(OK + b"Content-Length: ten\r\n\r\nx")),
    Answer("answer that lies", "length with a plus", "BrokenResponse", says(OK + b"Content-Length: +1\r\n\r\nx")),
    Answer("answer that lies", "two lengths", "BrokenResponse", says(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx")),
    Answer("answer that lies", "length and chunks", "BrokenResponse or harmless", says(OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")),
    Answer("answer that lies", "more than its length", "harmless", says(body(b"x") + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother")),
    Answer("answer that lies", "less than its length", "BrokenResponse", says(OK + b"Content-Length: 9\r\n\r\nx"), "close"),
    Answer("answer that lies", "chunk larger than it says", "BrokenResponse", says(CHUNKED + b"1\r\nxxxx\r\n0\r\n\r\n")),
    Answer("answer that lies", "chunk of 2⁶⁴", "ReadTimeout or TooLarge or BrokenResponse", says(CHUNKED + b"FFFFFFFFFFFFFFFF\r\nx")),
    Answer("answer that lies", "chunk of a negative size", "BrokenResponse", says(CHUNKED + b"-1\r\nx\r\n0\r\n\r\n")),
    Answer("answer that lies", "chunks without a last one", "BrokenResponse", says(CHUNKED + b"1\r\nx\r\n"), "close"),
    Answer("answer that lies", "gzip that is none", "BrokenResponse", says(body(b"not gzip", GZIP))),
    Answer("answer that lies", "gzip cut off", "BrokenResponse", says(body(gzip.compress(b"x" * 999, mtime=0)[:-6], GZIP))),
    Answer("answer that lies", "gzip with a wrong checksum", "BrokenResponse", says(body(gzip.compress(b"x", mtime=0)[:-8] + bytes(8), GZIP))),
    Answer("answer that is no HTTP", "HTTP/0.9", "BrokenResponse", says(b"<html>hello</html>\r\n"), "close"),
    Answer("answer that is no HTTP", "HTTP/2 frames", "BrokenResponse", says(b"\0\0\x12\4\0\0\0\0\0" + bytes(18)), "close"),
    Answer("answer that is no HTTP", "SSH", "BrokenResponse", says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "close"),
    Answer("answer that is no HTTP", "SMTP", "BrokenResponse", says(b"220 mail.example ESMTP\r\n"), "close"),
    Answer("answer that is no HTTP", "TLS", "BrokenResponse", says(b"\x15\x03\x01\0\x02\x02\x28"), "close"),
    Answer("answer that is no HTTP", "a request", "BrokenResponse", says(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "close"),
    Answer("answer that is no HTTP", "zeros", "BrokenResponse", says(bytes(4096)), "close"),
    Answer("answer that is no HTTP", "nothing", "ConnectionReset", says(b""), "close"),
    Answer("answer that is no HTTP", "header without a colon", "BrokenResponse", says(OK + b"X\r\n\r\n"), "close"),
    Answer("answer that is no HTTP", "zero in a header", "BrokenResponse", says(OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"), "close"),
    Answer("answer that is no HTTP", "folded header", "BrokenResponse or harmless", says(OK + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n"), "close"),
    Answer("answer that is no HTTP", "status 99999", "BrokenResponse", says(b"HTTP/1.1 99999 X\r\nContent-Length: 0\r\n\r\n"), "close"),
    Answer("answer that is no HTTP", "status 0", "harmless or BrokenResponse", says(b"HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n"), "close"),
    Answer("answer that is no HTTP", "switching protocols", "harmless or BrokenResponse or ReadTimeout", says(b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), "close"),
    Answer("redirect that leads nowhere", "to itself", "TooManyRedirects", says(b"HTTP/1.1 302 X\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")),
    Answer("redirect that leads nowhere", "to a longer and longer place", "TooManyRedirects", says(b"HTTP/1.1 302 X\r\nLocation: ?x\r\nContent-Length: 0\r\n\r\n")),
    Answer("redirect that leads nowhere", "to nothing", "harmless or TooManyRedirects", says(b"HTTP/1.1 302 X\r\nLocation:\r\nContent-Length: 0\r\n\r\n")),
    Answer("redirect that leads nowhere", "with a body without end", "TooManyRedirects", repeats(b"HTTP/1.1 302 X\r\nLocation: /\r\n\r\n", b"x" * CAP)),
    Answer("redirect that leads nowhere", "to a broken URL", "Forbidden or InvalidUrl or BrokenResponse", says(b"HTTP/1.1 302 X\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n")),
    Answer("redirect that leads nowhere", "to bytes", "InvalidUrl or BrokenResponse or TooManyRedirects", says(b"HTTP/1.1 302 X\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n")),
    Answer("redirect that leads nowhere", "to two places", "TooManyRedirects or BrokenResponse or harmless", says(b"HTTP/1.1 302 X\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")),
)  # fmt: skip
