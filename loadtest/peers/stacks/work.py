"""What a job does. A no-op notes the time at which it ran: eight bytes, appended to one file by all processes.

The notes are the count of what was settled: one for each execution, two for a job that ran twice.
"""

from __future__ import annotations

import os
import struct
import time
from functools import cache
from typing import Any

import httpx

NOTE = struct.Struct("d")
TIMEOUT = 15.0
"""Seconds that a sender of webhooks waits for an answer."""


def noop() -> None:
    """Do nothing, and be seen to have done it."""
    os.write(_notes(os.getpid()), NOTE.pack(time.time()))


def deliver(url: str, body: dict[str, Any]) -> None:
    """Post one webhook, by a client that all threads of the process share."""
    _client().post(url, json=body, timeout=TIMEOUT).raise_for_status()


async def deliver_async(url: str, body: dict[str, Any]) -> None:
    """The same on an event loop."""
    (await _async_client().post(url, json=body, timeout=TIMEOUT)).raise_for_status()


@cache
def _notes(_process: int) -> int:
    """By process: a file that was opened before a fork is opened again after it."""
    return os.open(os.environ["PEER_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@cache
def _client() -> httpx.Client:
    return httpx.Client(limits=_LIMITS)


@cache
def _async_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(limits=_LIMITS)


_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None)
