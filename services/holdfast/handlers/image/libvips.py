"""What libvips may do in this process, and what its errors mean.

Invariant: no loader and no saver is used but the listed ones.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyvips

from holdfast.domain.errors import Rejected

_LOADERS = ("Jpeg", "Png", "Webp", "Nsgif", "Heif", "Tiff")
_SAVERS = ("Jpeg", "Png", "Webp", "Cgif", "Heif")
_CUT_SHORT = re.compile(
    "premature|truncat|unexpected end|end of (file|stream|image)|not enough|eof|corrupt.*data", re.I
)
_NO_MEMORY = re.compile(
    "(out of|insufficient) memory|memory (error|alloc)|allocat|bufferpool|unable to encode|creating thread", re.I
)
"""libvips and its codecs have a dozen ways to say that malloc failed, and no error code for it. (`unable to encode` is
all that WebP says; its other reason, a side too long, is ruled out before. A thread is not made without a stack.)"""
_NOISE = ("unable to ", "wbuffer_write", "system error")


@functools.cache
def guard() -> None:
    """Once a process: only the listed formats, no cache of operations, no threads of its own."""
    pyvips.block_untrusted_set(True)
    for base, allowed in (("VipsForeignLoad", _LOADERS), ("VipsForeignSave", _SAVERS)):
        pyvips.operation_block_set(base, True)
        for name in allowed:
            pyvips.operation_block_set(base + name, False)
    pyvips.cache_set_max(0)
    pyvips.concurrency_set(1)


def no_memory(error: pyvips.Error) -> bool:
    """Whether there was no memory for it."""
    return _NO_MEMORY.search(str(error)) is not None


@contextmanager
def refusing(refusal: Callable[[pyvips.Error], Rejected]) -> Iterator[None]:
    """What libvips fails at inside is refused so; want of memory is no fault of the picture, and a MemoryError."""
    try:
        yield
    except pyvips.Error as error:
        if no_memory(error):
            raise MemoryError(str(error)) from error
        raise refusal(error) from error


def cut_short(error: pyvips.Error) -> bool:
    """Whether the data end too early."""
    return _CUT_SHORT.search(str(error)) is not None


def reason(error: Exception) -> str:
    """What the codec said, without what the layers around it added."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_NOISE)]
    return next(iter(telling or lines), type(error).__name__)[:200]
