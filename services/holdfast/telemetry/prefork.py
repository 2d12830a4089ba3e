"""Count across the processes of a prefork pool: each slot of it writes to files of its own, and the parent adds up.
Several api processes on one port do the same, and whichever is asked adds up.

prometheus-client's multiprocess mode, with one change that it provides for: a file belongs to a slot of the pool, not
to a process. A child that takes the place of a dead one goes on where that one's counters stopped, so no count is lost
with a child (`kill -9` included: the files are memory maps), none ever goes back, and there are never more files than
slots. Gauges are a matter of the living: a child that enters a slot starts them at zero.

The files lie in a folder of the worker's own below the temporary directory. The worker, and every child, holds a lock
on it; a folder that nobody holds was left by a worker that was killed, and the next worker to start removes it.
So a restart begins at zero, as counters of a process do.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from prometheus_client import multiprocess, values

PREFIX = "holdfast-metrics-"
_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PARENT = "parent"
_slot = PARENT


@contextmanager
def shared_counts() -> Iterator[Path]:
    """Share counts below a new folder, which is yielded and goes at the end; before any metric is built."""
    _sweep()
    folder = _make()
    os.environ[_VARIABLE] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: _slot)  # type: ignore[no-untyped-call]
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def enter_slot(slot: int) -> None:
    """In a child: count in this slot from now on."""
    global _slot
    _slot = f"slot{slot}"
    multiprocess.mark_process_dead(_slot, os.environ[_VARIABLE])  # type: ignore[no-untyped-call]


def take_slot() -> None:
    """In a process that was spawned, not forked: share counts, in the first slot that no living process holds."""
    values.ValueClass = values.MultiProcessValue(lambda: _slot)  # type: ignore[no-untyped-call]
    for slot in count(1):
        place = Path(os.environ[_VARIABLE]) / f"slot{slot}"
        place.mkdir(exist_ok=True)
        with contextlib.suppress(BlockingIOError):
            _lock(place)
            enter_slot(slot)
            return


def folder() -> Path | None:
    """Where this process shares its counts; None when it keeps them for itself."""
    return Path(os.environ[_VARIABLE]) if values.ValueClass._multiprocess else None


def _make() -> Path:
    """A folder that is locked before it can be seen by another worker's sweep."""
    hidden = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
    _lock(hidden)
    return hidden.rename(hidden.with_name(hidden.name[1:]))


def _lock(place: Path) -> int:
    """Lock until this process and its children have ended; raise BlockingIOError when somebody else has it."""
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _sweep() -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # in use, or another user's
            descriptor = _lock(left)
            shutil.rmtree(left)
            os.close(descriptor)
