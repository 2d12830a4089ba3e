"""What goes over the socket between a worker and its isolated child: frames of a length (8 bytes) and a pickle.

Invariant: the worker never runs what a child sends, and never grows by more than a small multiple of it. A child reads
hostile input with large C libraries, so it counts as taken over. Its answer is read twice: first as a list of
instructions, of which only those that build plain data are let through (no class, no function, and no references,
which make gigabytes of a few bytes or of a number), then as data. Requests go the other way, from the trusted side,
and may be anything picklable.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import struct
from dataclasses import dataclass
from typing import Any

HEADER = struct.Struct(">Q")
MOST_PARTS = 1_000_000
"""Instructions of an answer: each is a value or joins some."""
_PLAIN = frozenset(
    {
        *("PROTO", "FRAME", "MARK", "STOP", "NONE", "NEWTRUE", "NEWFALSE"),
        *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_SET", "ADDITEMS", "FROZENSET"),
    }
)
"""The instructions (see `pickletools`) that build None, bool, int, float, str, bytes, tuple, list, dict and set."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What holds for every call of a child: the longest answer, the longest file, the most open files."""

    answer_bytes: int
    file_bytes: int
    open_files: int


@dataclass(frozen=True, slots=True)
class Request:
    """Call `target` within `memory` bytes of address space."""

    target: str
    argument: Any
    memory: int
    caps: Caps


# An answer is a tuple: (VALUE, value, rss) or one of the following, each with the child's resident bytes at its end.
VALUE = "value"
HANDLER_ERROR = "handler-error"  # (…, "rejected" | "try-later", error, message, seconds to wait or None, rss)
OUT_OF_MEMORY = "out-of-memory"  # (…, traceback, rss)
SURPRISE = "surprise"  # (…, text, traceback, rss)


class NotPlain(pickle.UnpicklingError):
    """An answer holds something else than plain data."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise NotPlain(f"the answer holds {module}.{name}, and only plain data is let in")


def pack_request(request: Request) -> bytes:
    """One frame, from the trusted side."""
    return _framed(pickle.dumps(request, protocol=5))


def pack_answer(answer: tuple[Any, ...]) -> bytes:
    """One frame; each value is written out as often as it occurs."""
    body = io.BytesIO()
    pickler = pickle.Pickler(body, protocol=5)
    pickler.fast = True
    pickler.dump(answer)
    return _framed(body.getvalue())


def unpack_answer(body: bytes | bytearray) -> tuple[Any, ...]:
    """The content of a child's frame; raises NotPlain (or whatever pickle raises) for anything but plain data."""
    for number, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(body))):
        if opcode.name not in _PLAIN:
            what = f"{opcode.name} {argument if isinstance(argument, str | int) else ''}".strip()[:100]
            raise NotPlain(f"the answer holds the instruction {what}, and only plain data is let in")
        if number >= MOST_PARTS:
            raise NotPlain(f"the answer has more than {MOST_PARTS:,} parts")
    match _PlainUnpickler(io.BytesIO(body)).load():
        case (str(), *_, int()) as answer:
            return tuple(answer)
        case _:
            raise NotPlain("the answer is not a tuple from a name to a number of bytes")


def _framed(body: bytes) -> bytes:
    return HEADER.pack(len(body)) + body
