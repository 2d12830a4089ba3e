"""Serve the api: in this process, or in several on one port, under uvicorn's supervisor.

The supervisor replaces a process that dies or hangs, and ends when one cannot start, for the next could not either.
Several processes share their counts as the children of a prefork pool do, so that any of them tells `/metrics` for all.
Each holds the whole application: connections, limits, local shares.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from holdfast.api.auth import open_to_anonymous
from holdfast.domain.errors import HoldfastError
from holdfast.settings import Settings
from holdfast.telemetry import prefork

log = structlog.get_logger(__name__)

MAX_MESSAGE = 64 * 1024
"""Bytes of a WebSocket message that a client may send."""
DEVELOPMENT_KEY = Settings.model_fields["signing_key"].default
_PR_SET_PDEATHSIG = 1


def serve(settings: Settings, make: Callable[[], Any], name: str) -> None:
    """Run the api until it is told to stop. `make` makes the application here; `name` is `module:function` for it.

    Raises HoldfastError when it may not be reached as it is set up, or when one of several processes cannot start.
    """
    _check(settings)
    if settings.api_processes == 1:
        uvicorn.run(make(), **_options(settings))
    else:
        _supervise(settings, name)


@contextmanager
def joining() -> Iterator[None]:
    """In one of several processes, around the making of its application: share the counts, end with the supervisor.

    Whatever goes wrong in between ends the process in a way by which the supervisor knows that it could not start.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    supervisor = multiprocessing.parent_process()
    if supervisor is not None and os.getppid() != supervisor.pid:
        raise SystemExit("the supervisor has ended meanwhile")
    prefork.take_slot()
    try:
        yield
    except Exception as error:
        known = isinstance(error, HoldfastError)
        log.critical("api_process_not_started", why=str(error), exc_info=None if known else error)
        raise SystemExit(STARTUP_FAILURE) from None


def _supervise(settings: Settings, name: str) -> None:
    config = uvicorn.Config(name, factory=True, workers=settings.api_processes, **_options(settings))
    with prefork.shared_counts():
        supervisor = Multiprocess(config, sockets=[config.bind_socket()])
        supervisor.run()
    if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
        raise HoldfastError("an api process could not start, so all were ended; the lines of the log above say why")


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "host": settings.api_host,
        "port": settings.api_port,
        "log_config": None,
        "access_log": False,
        "timeout_graceful_shutdown": 10,
        "server_header": False,
        "http": "holdfast.api.protocol:BoundedProtocol",
        "ws_max_size": MAX_MESSAGE,
    }


def _check(settings: Settings) -> None:
    """Refuse to be reachable with a secret that everybody knows, and say loudly what is open in development."""
    if settings.api_processes > 1 and settings.steward_in_api:
        raise HoldfastError(
            "HOLDFAST_API_PROCESSES is more than 1 while HOLDFAST_STEWARD_IN_API is true, but what the steward sees is "
            "told by one process alone; run `holdfast steward`, and set HOLDFAST_STEWARD_IN_API=false"
        )
    if not open_to_anonymous(settings) and settings.signing_key == DEVELOPMENT_KEY:
        raise HoldfastError(
            "HOLDFAST_SIGNING_KEY is not set, so anybody could sign download links; set it to a long random text"
        )
    if open_to_anonymous(settings):
        log.warning(
            "api_open_without_key",
            why="development on loopback: requests without an API key act as the default tenant in every role",
        )
