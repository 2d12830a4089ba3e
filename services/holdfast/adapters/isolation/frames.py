"""What goes over the socket between a worker and its isolated child: frames of a length (8 bytes) and a pickle.

Invariant: the worker never runs what a child sends. A child reads hostile input with large C libraries, so it
counts as taken over; an answer that names any class or function is refused before it is built. Requests go the
other way, from the trusted side, and may be anything picklable.
"""

from __future__ import annotations

import io
import pickle
import struct
from dataclasses import dataclass
from typing import Any

HEADER = struct.Struct(">Q")
LONGEST = 1 << 30
"""Bytes of the longest answer that is read (1 GiB)."""


@dataclass(frozen=True, slots=True)
class Request:
    """Call `target` within `memory` bytes of address space."""

    target: str
    argument: Any
    memory: int


# An answer is a tuple: (VALUE, value, rss) or one of the following, each with the child's resident bytes at its end.
VALUE = "value"
HANDLER_ERROR = "handler-error"  # (…, "rejected" | "try-later", error, message, seconds to wait or None, rss)
OUT_OF_MEMORY = "out-of-memory"  # (…, traceback, rss)
SURPRISE = "surprise"  # (…, text, traceback, rss)


class NotPlain(pickle.UnpicklingError):
    """An answer names a class or a function."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise NotPlain(f"the answer holds {module}.{name}, and only plain data is let in")


def pack(message: Any) -> bytes:
    """One frame."""
    body = pickle.dumps(message, protocol=5)
    return HEADER.pack(len(body)) + body


def unpack_answer(body: bytes | bytearray) -> tuple[Any, ...]:
    """The content of a child's frame; raises NotPlain (or whatever pickle raises) for anything but plain data."""
    match _PlainUnpickler(io.BytesIO(body)).load():
        case (str(), *_, int()) as answer:
            return tuple(answer)
        case _:
            raise NotPlain("the answer is not a tuple from a name to a number of bytes")
