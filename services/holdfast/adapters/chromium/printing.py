"""One page's way through Chromium: a context of its own, every request intercepted, printed, forgotten.

    context ─► target ─► guarded ─► loading ─► ready ─► printed ─► context disposed of

Invariant: the page is loaded only after the interception is in force, and whatever passes it comes from the
caller's `Fetch`. Each document is served with a content security policy that takes workers, WebSockets, popups,
downloads, forms and dialogs away (CSP 3, `sandbox`), and scripts too unless the job asks for them.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, Never
from urllib.parse import urldefrag

from holdfast.adapters.chromium.devtools import CommandFailed, DevTools, Gone
from holdfast.domain.errors import Rejected
from holdfast.ports.browser import Fetch, Printed, Resource, WaitFor, WebPage
from holdfast.ports.isolation import CrashCause, IsolatedCrash

_LOOK_EVERY = 0.05
"""Seconds between two looks whether a page is ready."""
_CHUNK = 4 * 1024 * 1024
_MOST_NOTES = 50
_A4 = {"paperWidth": 210 / 25.4, "paperHeight": 297 / 25.4}
_COUNT = re.compile(rb"\n<</Type /Pages\n/Count (\d+)\n")
"""A node of the page tree, as Skia writes it: never compressed, and no text of the document can hold line feeds."""
_EVENTS = ("load", "networkIdle")
"""Of the life of a frame, in the protocol's words."""


class PdfTooLarge(Rejected):
    """The PDF is larger than its cap."""


class SelectorInvalid(Rejected):
    """The selector to wait for is none."""


class PageFailed(Rejected):
    """Chromium cannot load or print the page."""


class Printing:
    """One page. `crashed` gets an exception when the page's process is gone, and `run` would wait for ever."""

    def __init__(self, devtools: DevTools, page: WebPage, fetch: Fetch, most_bytes: int) -> None:
        self.crashed: asyncio.Future[Never] = asyncio.get_running_loop().create_future()
        self._devtools, self._page, self._fetch, self._most_bytes = devtools, page, fetch, most_bytes
        self._session = ""
        self._frame = ""
        self._served = False
        """Whether the document itself was handed out."""
        self._happened = {event: asyncio.Event() for event in _EVENTS}
        self._tasks: set[asyncio.Task[None]] = set()
        self._notes: dict[str, None] = {}

    async def run(self) -> Printed:
        """Load, wait, print. Raises Gone and CommandFailed besides Rejected."""
        context = (await self._devtools.send("Target.createBrowserContext", disposeOnDetach=True))["browserContextId"]
        try:
            await self._open(context)
            await self._guard(context)
            await self._load()
            await self._ready()
            pdf = await self._print()
        finally:
            self._devtools.forget(self._session)
            for task in self._tasks:
                task.cancel()
        await self._devtools.send("Target.disposeBrowserContext", browserContextId=context)
        return Printed(pdf, _pages(pdf), tuple(self._notes))

    async def _open(self, context: str) -> None:
        target = await self._devtools.send("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self._devtools.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        self._devtools.listen(self._session, self._hear)
        tree = await self._send("Page.getFrameTree")
        self._frame = tree["frameTree"]["frame"]["id"]

    async def _guard(self, context: str) -> None:
        """Everything that has to hold before the page begins."""
        await self._send("Fetch.enable", patterns=[{"urlPattern": "*"}])
        await self._send("Emulation.setScriptExecutionDisabled", value=not self._page.javascript)
        await self._devtools.send("Browser.setDownloadBehavior", behavior="deny", browserContextId=context)
        await self._send("Inspector.enable")
        await self._send("Page.enable")
        await self._send("Page.setLifecycleEventsEnabled", enabled=True)
        await self._send("Emulation.setEmulatedMedia", media="print")

    async def _load(self) -> None:
        begun = await self._send("Page.navigate", url=self._page.url)
        if "errorText" in begun:
            raise PageFailed(f"Chromium cannot load this page: {begun['errorText']}")
        await self._happened["load"].wait()

    async def _ready(self) -> None:
        match self._page.wait_for:
            case WaitFor.LOAD:
                pass
            case WaitFor.NETWORK_IDLE:
                await self._happened["networkIdle"].wait()
            case WaitFor.READY:
                await self._until_true("window.holdfastReady === true")
            case WaitFor.SELECTOR:
                quoted = _javascript_string(self._page.selector)
                await self._until_true(f"document.querySelector({quoted}) !== null")

    async def _print(self) -> bytes:
        if self._page.style:
            await self._send("DOM.enable")
            await self._send("CSS.enable")
            sheet = await self._send("CSS.createStyleSheet", frameId=self._frame)
            await self._send("CSS.setStyleSheetText", styleSheetId=sheet["styleSheetId"], text=self._page.style)
        bands = bool(self._page.header or self._page.footer)
        printed = await self._send(
            "Page.printToPDF",
            **_A4,
            preferCSSPageSize=True,
            printBackground=self._page.background,
            displayHeaderFooter=bands,
            headerTemplate=self._page.header or "<span></span>",  # an empty one is the browser's own
            footerTemplate=self._page.footer or "<span></span>",
            generateTaggedPDF=True,
            generateDocumentOutline=True,
            transferMode="ReturnAsStream",
        )
        return await self._read(printed["stream"])

    async def _read(self, stream: str) -> bytes:
        pdf = bytearray()
        while True:
            part = await self._send("IO.read", handle=stream, size=_CHUNK)
            pdf += base64.b64decode(part["data"]) if part.get("base64Encoded") else part["data"].encode()
            if len(pdf) > self._most_bytes:
                raise PdfTooLarge(f"the PDF has more than {self._most_bytes} bytes; print less, or fewer pages at once")
            if part["eof"]:
                await self._send("IO.close", handle=stream)
                return bytes(pdf)

    async def _send(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        return await self._devtools.send(method, self._session, **parameters)

    async def _until_true(self, expression: str) -> None:
        """Look again and again. What a page does to the expression is its own affair."""
        while True:
            found = await self._send("Runtime.evaluate", expression=expression, returnByValue=True)
            if "exceptionDetails" in found and self._page.wait_for is WaitFor.SELECTOR:
                raise SelectorInvalid(f"{self._page.selector!r} is no selector that Chromium knows")
            if found["result"].get("value") is True:
                return
            await asyncio.sleep(_LOOK_EVERY)

    def _hear(self, method: str, event: Mapping[str, Any]) -> None:
        match method:
            case "Fetch.requestPaused":
                self._begin(self._answer(event))
            case "Page.lifecycleEvent" if self._served and event["frameId"] == self._frame:
                if event["name"] in self._happened:
                    self._happened[event["name"]].set()
            case "Page.javascriptDialogOpening":
                self._begin(self._quietly("Page.handleJavaScriptDialog", accept=False))
            case "Inspector.targetCrashed" if not self.crashed.done():
                self.crashed.set_exception(
                    IsolatedCrash("the page crashed its process in Chromium", cause=CrashCause.SIGNAL)
                )

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, event: Mapping[str, Any]) -> None:
        """Serve one intercepted request, or refuse it."""
        request, number = event["request"], event["requestId"]
        found = await self._resource(event)
        if found is None:
            await self._quietly("Fetch.failRequest", requestId=number, errorReason="BlockedByClient")
            return
        headers = {
            "content-type": found.media_type,
            "access-control-allow-origin": "*",  # nothing was fetched with anybody's credentials
            "content-security-policy": self._policy(),
        }
        await self._quietly(
            "Fetch.fulfillRequest",
            requestId=number,
            responseCode=200,
            responseHeaders=[{"name": name, "value": value} for name, value in headers.items()],
            body="" if request["method"] == "HEAD" else base64.b64encode(found.body).decode(),
        )

    async def _resource(self, event: Mapping[str, Any]) -> Resource | None:
        request = event["request"]
        address, method = urldefrag(request["url"]).url, request["method"]
        if event["resourceType"] == "Document" and event["frameId"] == self._frame:
            if self._served:
                self._say(f"{address[:200]} was left out: a document may not lead elsewhere")
                return None
            self._served = True
            return Resource(self._page.body, self._page.media_type)
        if not address.startswith(("http://", "https://")):
            self._say(f"{address[:200]} was left out: only http, https and data addresses are read")
            return None
        if method not in ("GET", "HEAD"):
            self._say(f"{address[:200]} was left out: a page may only read, and this is a {method[:20]}")
            return None
        return await self._fetch(address)

    def _policy(self) -> str:
        scripts = " allow-scripts" if self._page.javascript else ""
        return (
            f"sandbox allow-same-origin{scripts}; worker-src 'none'; object-src 'none'; "
            "connect-src http: https: data: blob:"
        )

    async def _quietly(self, method: str, **parameters: Any) -> None:
        """Tell the browser what it may have lost interest in meanwhile."""
        with suppress(CommandFailed, Gone):
            await self._devtools.send(method, self._session, **parameters)

    def _say(self, note: str) -> None:
        if len(self._notes) < _MOST_NOTES:
            self._notes[note] = None


def _pages(pdf: bytes) -> int:
    return max((int(count) for count in _COUNT.findall(pdf)), default=0)


def _javascript_string(text: str) -> str:
    """A literal that cannot end early, whatever is in it."""
    return '"' + "".join(f"\\u{unit:04x}" for unit in _utf16(text)) + '"'


def _utf16(text: str) -> list[int]:
    data = text.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(data[place : place + 2], "big") for place in range(0, len(data), 2)]
