"""The child's side: `python -m holdfast.adapters.isolation.child <socket> <parent's pid>`.

Reads a request, calls the function, answers, and starts over until the socket is closed. It dies with its
parent (PR_SET_PDEATHSIG), leaves no core file, is the kernel's first choice when memory runs out, and has standard
output and error away from the socket, so stray prints cannot garble an answer. Before the first call it gives up what
`lockdown` lists.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import io
import os
import pickle
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from holdfast.adapters.isolation import frames, lockdown
from holdfast.domain.errors import HandlerError, Rejected, TryLater

_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "700"
_RESERVE = 4 * 1024 * 1024
"""Bytes of address space set free when a call ran out, so that its answer can still be built."""


def main(channel: int, parent: int) -> None:
    """Serve requests until the parent hangs up."""
    _settle_in(parent)
    with io.FileIO(channel, "r+") as pipe:
        while (body := _read(pipe)) is not None:
            request: frames.Request = pickle.loads(body)  # noqa: S301 (from the trusted side)
            del body
            _write(pipe, _answer(request))
            del request
            _tidy_up()


def _settle_in(parent: int) -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could ask for the signal
        os._exit(0)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    lockdown.confine()


def _answer(request: frames.Request) -> bytes:
    reserve = bytearray(_RESERVE)
    try:
        lockdown.cap(request.caps.file_bytes, request.caps.open_files)
        _limit_memory(request.memory)
        return _packed(_function(request.target)(request.argument), request.caps.answer_bytes)
    except HandlerError as error:
        after = error.after.total_seconds() if isinstance(error, TryLater) and error.after else None
        kind = "try-later" if isinstance(error, TryLater) else "rejected"
        return frames.pack_answer((frames.HANDLER_ERROR, kind, error.error, str(error), after, _resident()))
    except MemoryError:
        del reserve
        _limit_memory(None)
        return frames.pack_answer((frames.OUT_OF_MEMORY, traceback.format_exc(limit=-8), _resident()))
    except BaseException as error:
        text = f"{type(error).__name__}: {error}"
        return frames.pack_answer((frames.SURPRISE, text[:1000], traceback.format_exc(limit=-20), _resident()))


def _packed(value: Any, most: int) -> bytes:
    """The answer, unless it is longer than what the worker would take."""
    frame = frames.pack_answer((frames.VALUE, value, _resident()))
    if len(frame) - frames.HEADER.size > most:
        raise Rejected(
            f"the result has {len(frame)} bytes; at most {most} are taken, see HOLDFAST_LIMITS__ANSWER_BYTES",
            error="AnswerTooLarge",
        )
    return frame


def _function(target: str) -> Callable[[Any], Any]:
    module, _, name = target.partition(":")
    found: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return found


def _limit_memory(limit: int | None) -> None:
    """Set the soft limit only: the next call may have another."""
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = hard if limit is None else limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _resident() -> int:
    return int(os.pread(_statm, 256, 0).split()[1]) * resource.getpagesize()


def _tidy_up() -> None:
    """Between calls, when nobody waits: give freed memory back to the system."""
    gc.collect()
    with suppress(AttributeError):  # musl has none
        _libc.malloc_trim(0)


def _read(pipe: io.FileIO) -> bytearray | None:
    header = _read_exactly(pipe, frames.HEADER.size)
    return None if header is None else _read_exactly(pipe, frames.HEADER.unpack(header)[0])


def _read_exactly(pipe: io.FileIO, size: int) -> bytearray | None:
    """None at the end of the stream."""
    body = bytearray(size)
    view, done = memoryview(body), 0
    while done < size:
        count = pipe.readinto(view[done:])
        if not count:
            return None
        done += count
    return body


def _write(pipe: io.FileIO, frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[pipe.write(view) or 0 :]


_libc = ctypes.CDLL(None)
_statm = os.open("/proc/self/statm", os.O_RDONLY)
"""Kept open: a call may have used up all descriptors, and its answer is due all the same."""

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
