"""A browser that prints web pages as PDF.

Promise: the browser reaches nothing by itself. Whatever a page asks for comes from the caller's `Fetch`, or is
refused. A call ends, at the latest shortly after its `timeout`, with a document or an error, and no page sees
anything of another: no cookies, no storage, no process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from holdfast.domain.errors import TryLater


class BrowserUnavailable(TryLater):
    """There is no browser here, or it does not start, or it died at its work: not the page's fault."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What the browser is given for an address."""

    body: bytes
    media_type: str


Fetch = Callable[[str], Awaitable[Resource | None]]
"""Gets what a page refers to, by http or https address; None refuses it, and the page goes on without."""


class WaitFor(StrEnum):
    """When a page counts as ready to be printed."""

    LOAD = "load"
    """All that it refers to is there."""
    NETWORK_IDLE = "network-idle"
    """And it has asked for nothing more for half a second."""
    READY = "ready"
    """And it has set `window.holdfastReady = true`."""
    SELECTOR = "selector"
    """And it has an element that the selector fits."""


@dataclass(frozen=True, slots=True)
class WebPage:
    """One page to print."""

    url: str
    """What the page believes its address to be; it is not fetched."""
    body: bytes
    media_type: str
    javascript: bool
    wait_for: WaitFor
    selector: str
    """With WaitFor.SELECTOR."""
    style: str
    """A style sheet that is added to the page's own."""
    background: bool
    """Whether background colours and pictures are printed."""
    header: str
    """HTML for the upper margin of every page, empty for none; elements of the classes `pageNumber` and `totalPages`
    are filled in."""
    footer: str


@dataclass(frozen=True, slots=True)
class Printed:
    """The document. `notes` are sentences about what the page wanted and was refused."""

    pdf: bytes
    pages: int
    notes: tuple[str, ...]


class Browser(Protocol):
    """Prints one page at a time."""

    async def print(self, page: WebPage, fetch: Fetch, *, timeout: timedelta, memory: int, most_bytes: int) -> Printed:
        """Load the page within `timeout` and `memory` bytes for the whole browser; print at most `most_bytes` of PDF.

        Raises BrowserUnavailable, Rejected (the document is too large, the selector is none), and as `Isolation`
        does IsolatedTimeout and IsolatedCrash.
        """
        ...
