"""`pdf.render` by Chromium: the job's options as a `WebPage`, and the guarded fetcher as all that it can reach.

The browser asks for assets as it comes upon them; each goes through the same caps and the same egress guard as
WeasyPrint's. A template is filled in by an isolated child first, as for the other engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from holdfast.handlers.isolated import blaming
from holdfast.handlers.pdf.assets import NO_BASE, Assets
from holdfast.handlers.pdf.payload import PdfPayload, Selector
from holdfast.handlers.pdf.style import page_css, with_counters
from holdfast.ports.browser import BrowserUnavailable, Resource, WaitFor, WebPage
from holdfast.ports.handler import Context

DOWNSTREAM = "pdf-engine:chromium"
TEMPLATE = "holdfast.handlers.pdf.template:filled"
NOWHERE = "http://document.invalid/"
"""The address of a document that has none (RFC 6761: no such host can exist)."""
_BAND = '<div style="width: 100%; font: 8pt sans-serif; color: #444; text-align: center">{}</div>'
MOST_WARNINGS = 50
MISSING_AGAIN = timedelta(seconds=32)
"""When a job that met a worker without Chromium tries again: another may have one, or an image be on its way."""


async def printed(
    context: Context, payload: PdfPayload, request: Mapping[str, Any], assets: Assets, seconds: float
) -> Mapping[str, Any]:
    """The PDF, its pages and warnings, within that time. Raises what `Browser.print` raises, and Rejected."""
    if context.browser is None:
        raise BrowserUnavailable(
            "this worker has no Chromium, and the job asks for it; install it for the render workers and set "
            "HOLDFAST_CHROMIUM there, or take it from the api's settings",
            after=MISSING_AGAIN,
        )
    page = _page(payload, *await _document(context, request, seconds))
    until = asyncio.get_running_loop().time() + seconds / 2
    left_out: dict[str, str] = {}

    async def fetch(url: str) -> Resource | None:
        if url.startswith(NOWHERE):
            left_out[url.removeprefix(NOWHERE)] = NO_BASE
            return None
        found = await assets.one(url, until)
        return Resource(found["body"], found["type"]) if "body" in found else None

    async with context.downstream(DOWNSTREAM) as call:
        with blaming(call):
            made = await context.browser.print(
                page,
                fetch,
                timeout=timedelta(seconds=seconds),
                memory=context.limits.chromium_memory,
                most_bytes=context.limits.answer_bytes,
            )
    assets.check()
    left_out |= assets.left_out
    warnings = [f"{url[:200]} was left out: {reason}" for url, reason in left_out.items()]
    return {
        "pdf": made.pdf,
        "pages": made.pages,
        "left_out": left_out,
        "warnings": [*warnings, *made.notes][:MOST_WARNINGS],
    }


async def _document(context: Context, request: Mapping[str, Any], seconds: float) -> tuple[bytes, str]:
    """The HTML and its media type."""
    html, charset = request["html"], request["charset"]
    if request["template"] is not None:
        html = await context.isolation.call(
            TEMPLATE, request, timeout=timedelta(seconds=seconds), memory=context.limits.pdf_memory
        )
    if isinstance(html, str):
        html, charset = html.encode("utf-8", "replace"), "utf-8"
    return html, f"text/html; charset={charset}" if charset else "text/html"


def _page(payload: PdfPayload, body: bytes, media_type: str) -> WebPage:
    selector = payload.wait_for.selector if isinstance(payload.wait_for, Selector) else ""
    return WebPage(
        url=payload.base_url or payload.url or NOWHERE,
        body=body,
        media_type=media_type,
        javascript=payload.javascript,
        wait_for=WaitFor.SELECTOR if isinstance(payload.wait_for, Selector) else WaitFor(payload.wait_for),
        selector=selector,
        style=page_css(payload.page.model_dump(), {}),
        background=payload.background,
        header=_band(payload.header),
        footer=_band(payload.footer),
    )


def _band(content: str | None) -> str:
    return _BAND.format(with_counters(content, page="pageNumber", pages="totalPages")) if content else ""
