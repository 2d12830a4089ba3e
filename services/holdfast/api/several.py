"""Several api processes on one port, under uvicorn's supervisor, which replaces one that dies or hangs.

They share their counts as the children of a prefork pool do, so that any of them tells `/metrics` for all. The
supervisor holds nothing of the application. Each process holds the whole: connections, limits, local shares.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal

import uvicorn

from holdfast.api import server
from holdfast.domain.errors import HoldfastError
from holdfast.settings import Settings
from holdfast.telemetry import prefork

_PR_SET_PDEATHSIG = 1


def supervise(settings: Settings, application: str) -> None:
    """Run `HOLDFAST_API_PROCESSES` processes until told to stop; each calls `application`, `module:function`."""
    if settings.steward_in_api:
        raise HoldfastError(
            "HOLDFAST_API_PROCESSES is more than 1 while HOLDFAST_STEWARD_IN_API is true, but what the steward sees is "
            "told by one process alone; run `holdfast steward`, and set HOLDFAST_STEWARD_IN_API=false"
        )
    with prefork.shared_counts():
        uvicorn.run(application, factory=True, workers=settings.api_processes, **server.options(settings))


def join() -> None:
    """In one of the processes, before any metric is built: share the counts, and end when the supervisor does."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    supervisor = multiprocessing.parent_process()
    if supervisor is not None and os.getppid() != supervisor.pid:
        raise SystemExit("the supervisor has ended meanwhile")
    prefork.take_slot()
