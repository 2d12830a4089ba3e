"""`pdf.render`: HTML, a web page or a template with its data, laid out as a PDF.

WeasyPrint lays out in an isolated child (`engine`, which says how assets get there), and nothing of it is imported
here; `chromium` is the way through the other engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from email.message import Message
from typing import Any, ClassVar

from pydantic import BaseModel

from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.domain.backoff import RetryPolicy
from holdfast.handlers.isolated import blaming, outcome_of
from holdfast.handlers.pdf.assets import Assets
from holdfast.handlers.pdf.chromium import printed
from holdfast.handlers.pdf.errors import AssetRefused, HtmlTooLarge
from holdfast.handlers.pdf.payload import PdfPayload
from holdfast.handlers.source import fetch
from holdfast.ports.handler import DEFAULT_POLICY, Context
from holdfast.ports.isolation import IsolatedCrash, IsolatedTimeout

ENGINE = "holdfast.handlers.pdf.engine:render"
DOWNSTREAM = "pdf-engine:weasyprint"
ROUNDS = 4
"""How often assets that a layout found missing are fetched; what is deeper than that is left out with a warning."""


class PdfRender:
    """Renders PDF documents."""

    kind: ClassVar[str] = "pdf.render"
    queue: ClassVar[str] = "pdf"
    Payload: ClassVar[type[BaseModel]] = PdfPayload
    policy: ClassVar[RetryPolicy] = DEFAULT_POLICY
    time_limit: ClassVar[timedelta] = timedelta(seconds=180)
    """The default limits of the page's fetch (30 s), its assets (60 s) and the layout (60 s), and some air."""

    async def run(self, context: Context, payload: PdfPayload) -> Outcome:
        """Get the HTML, lay it out in as many rounds as its assets take, store the PDF."""
        request = await _request(context, payload)
        assets = Assets(context, required=payload.require_assets)
        seconds = min(context.limits.pdf_timeout, payload.time_limit or context.limits.pdf_timeout)
        try:
            if payload.engine == "chromium":
                made = await printed(context, payload, request, assets, seconds)
            else:
                made = await _rendered(context, request, assets, seconds)
        except (IsolatedTimeout, IsolatedCrash) as death:
            return outcome_of(death)
        if payload.require_assets and made["left_out"]:
            address, reason = next(iter(made["left_out"].items()))
            raise AssetRefused(f"{address[:200]} is required and was left out: {reason}")
        artifact = await context.save(payload.name, made["pdf"], "application/pdf")
        return Succeeded(
            {
                "pages": made["pages"],
                "bytes": artifact.size,
                "artifact": artifact.name,
                "engine": payload.engine,
                "variant": payload.variant,
                "warnings": made["warnings"],
            }
        )


async def _request(context: Context, payload: PdfPayload) -> dict[str, Any]:
    limits = context.limits
    request = payload.model_dump(include={"template", "data", "page", "header", "footer", "metadata", "variant"})
    request |= {"base_url": payload.base_url or payload.url, "charset": None, "html": payload.html}
    request["limits"] = {"html": limits.html_bytes, "pixels": limits.image_pixels}
    if payload.url is not None:
        response = await fetch(context, "pdf-asset", payload.url, limits.html_bytes)
        request |= {"html": response.body, "charset": _charset(response.headers.get("content-type", ""))}
    elif payload.html is not None and len(payload.html.encode("utf-8", "surrogatepass")) > limits.html_bytes:
        raise HtmlTooLarge(f"the HTML has more than {limits.html_bytes} bytes; that is the most that is laid out")
    return request


async def _rendered(context: Context, request: dict[str, Any], assets: Assets, left: float) -> Mapping[str, Any]:
    """All rounds together have the seconds that are `left`; the fetches between them do not count."""
    clock = asyncio.get_running_loop().time
    for number in range(ROUNDS + 1):
        began = clock()
        async with context.downstream(DOWNSTREAM) as call:
            with blaming(call):
                answer: Mapping[str, Any] = await context.isolation.call(
                    ENGINE,
                    request | {"assets": assets.found, "last": number == ROUNDS},
                    timeout=timedelta(seconds=max(0.0, left)),
                    memory=context.limits.pdf_memory,
                )
        left -= clock() - began
        if "missing" not in answer:
            return answer
        await assets.get(answer["missing"])
        request |= {"html": answer["html"], "template": None}
    raise AssertionError("the last round always answers with a document")


def _charset(content_type: str) -> str | None:
    """What the server says about the encoding; it is stronger than what the page says (WHATWG HTML, 13.2.3.2)."""
    message = Message()
    message["content-type"] = content_type
    return message.get_content_charset()
