"""How uvicorn serves the api, in one process or in several."""

from __future__ import annotations

from typing import Any

from holdfast.settings import Settings

MAX_MESSAGE = 64 * 1024
"""Bytes of a WebSocket message that a client may send."""


def options(settings: Settings) -> dict[str, Any]:
    """The arguments of `uvicorn.run` besides the application."""
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
