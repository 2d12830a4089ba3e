"""A page of the console, and everything about it that should not be."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Page, Request

DESK, PHONE = (1280, 850), (390, 850)
"""Width and height."""


@dataclass
class Watched:
    """A page, and everything about it that nobody should see."""

    page: Page
    api: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("request", self._on_request)

    def open(self, place: str = "") -> Page:
        """Go to a page of the console and wait until it is there."""
        self.page.goto(f"{self.api}/#/{place}")
        self.page.wait_for_selector("h1", state="attached")
        return self.page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.api, "blob:", "data:")):
            self.complaints.append(f"a request to {request.url}")
