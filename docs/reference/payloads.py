"""The tables of `guides/handlers.md`: every field of the built-in payloads, and every kind."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from holdfast.handlers.image.payload import Crop, ImagePayload, Variant, Watermark
from holdfast.handlers.noop import NoopPayload
from holdfast.handlers.pdf.payload import Metadata, Page, PageSize, PdfPayload, Selector
from holdfast.handlers.registry import installed
from holdfast.handlers.source import ArtifactSource, Source
from holdfast.handlers.webhook.payload import WebhookPayload
from reference.source import attributes, meaning
from reference.table import filled, row, table

PAYLOADS: Mapping[str, Sequence[type[BaseModel]]] = {
    "source": (Source, ArtifactSource),
    "image.transform": (ImagePayload, Variant, Crop, Watermark),
    "pdf.render": (PdfPayload, Page, PageSize, Metadata, Selector),
    "webhook.dispatch": (WebhookPayload,),
    "custom.noop": (NoopPayload,),
}
"""The tables by the name of their block."""

SAID: Mapping[str, str] = {
    "Source.artifact": "A result of an earlier job of the same tenant.",
    "ArtifactSource.job_id": "A job of the same tenant that succeeded.",
    "ArtifactSource.name": "An artifact that its result lists.",
    "ImagePayload.source": "The picture.",
    "ImagePayload.variants": "What to make of it; names must be unique.",
    "Variant.width": "Pixels.",
    "Variant.height": "Pixels. One side alone keeps the shape.",
    "Variant.fit": "How the picture meets `width` × `height`; all but `inside` need both.",
    "Variant.auto_orient": "Turn the picture upright by its Exif orientation.",
    "Variant.crop": "Cut this out before resizing.",
    "Variant.watermark": "Laid over the result.",
    "Variant.lossless": "For WebP and AVIF.",
    "Crop.left": "Pixels from the left edge.",
    "Crop.top": "Pixels from the upper edge.",
    "Crop.width": "Pixels.",
    "Crop.height": "Pixels.",
    "Watermark.source": "A picture, from anywhere that the payload's own source may come from.",
    "Watermark.text": "One line.",
    "Watermark.gravity": "Where it lies.",
    "Watermark.opacity": "1 is opaque.",
    "PdfPayload.html": "The document.",
    "PdfPayload.data": "What the template is filled in with.",
    "PdfPayload.page": "Size, orientation and margins.",
    "PdfPayload.footer": "As `header`, in the lower margin.",
    "PdfPayload.metadata": "Title, author and the like.",
    "PageSize.height": "Millimetres.",
    "Page.orientation": "Turns the size.",
    "Metadata.title": "Of the document.",
    "Metadata.author": "Of the document.",
    "Metadata.subject": "Of the document.",
    "Metadata.keywords": "Of the document.",
    "WebhookPayload.url": "http or https, without credentials. Exactly one of `url` and `endpoint_id`.",
    "WebhookPayload.endpoint_id": "An endpoint, with its URL, headers and secrets at the time of delivery.",
    "WebhookPayload.body": "Any JSON, `null` too; sent as compact JSON.",
    "WebhookPayload.body_text": "Text, sent as it is (UTF-8).",
    "WebhookPayload.headers": "Sent along. Not `webhook-*`, and not what HTTP or Holdfast sets itself.",
    "WebhookPayload.secret": "`whsec_` and base64 of 24 to 64 bytes. Without a secret the webhook is not signed.",
    "WebhookPayload.timeout_seconds": "Of one delivery, answer included; `HOLDFAST_LIMITS__WEBHOOK_TIMEOUT` if lower.",
}
"""`Class.attribute`: its meaning, where the class has no text of its own, or one for readers of the code."""


def handlers(text: str) -> str:
    """`handlers.md` with the tables between its markers written anew."""
    for name, models in PAYLOADS.items():
        block = "\n".join(_payload(model, first=index == 0) for index, model in enumerate(models))
        pattern = re.compile(rf"(<!-- fields: {re.escape(name)} -->\n).*?(<!-- end -->)", re.S)
        if len(pattern.findall(text)) != 1:
            raise SystemExit(f"handlers.md needs exactly one block `<!-- fields: {name} -->` … `<!-- end -->`")
        text = filled(text, pattern, block)
    return filled(text, re.compile(r"(<!-- kinds -->\n).*?(<!-- end -->)", re.S), _kinds())


def _payload(model: type[BaseModel], *, first: bool) -> str:
    schema = model.model_json_schema()
    required = schema.get("required", ())
    rows = []
    for attribute in attributes(model):
        field = schema["properties"][attribute.name]
        plain = "**required**" if attribute.name in required else _plain(field)
        rows.append(row([f"`{attribute.name}`", _words(field), plain, meaning(model, attribute, SAID)]))
    title = "" if first else f"\n`{model.__name__}`: {inspect.getdoc(model)}\n\n"
    return title + table(["field", "type", "default", "meaning"], rows)


def _plain(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if value in (None, [], {}) or isinstance(value, dict):
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _words(field: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if field.get("$ref", "").endswith("/JsonValue"):
        return "any JSON"
    if "$ref" in field:
        return f"`{field['$ref'].rpartition('/')[2]}`"
    if "anyOf" in field:
        return " or ".join(_words(option) for option in field["anyOf"] if option.get("type") != "null")
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    match field.get("type"):
        case "array" if "prefixItems" in field:
            return f"{len(field['prefixItems'])} × {_words(field['prefixItems'][0])}"
        case "array":
            return f"list of {_words(field['items'])}{_bounds(field, 'minItems', 'maxItems', '')}"
        case "string":
            length = _bounds(field, "minLength", "maxLength", " characters") if "maxLength" in field else ""
            pattern = f", `{field['pattern']}`" if "x00" not in field.get("pattern", "x00") else ""
            return f"{ {'uuid': 'UUID', 'password': 'secret'}.get(field.get('format', ''), 'text') }{length}{pattern}"
        case "integer" | "number" as name:
            return f"{name}{_bounds(field, 'minimum', 'maximum', '')}{_above(field)}"
        case "boolean":
            return "true or false"
        case "object":
            return "object"
        case _:
            return "any JSON"


def _bounds(field: Mapping[str, Any], low: str, high: str, unit: str) -> str:
    least, most = field.get(low), field.get(high)
    if most is not None:
        return (
            f", {_number(least)} to {_number(most)}{unit}" if least is not None else f", at most {_number(most)}{unit}"
        )
    return f", at least {_number(least)}{unit}" if least is not None else ""


def _above(field: Mapping[str, Any]) -> str:
    return f", above {_number(field['exclusiveMinimum'])}" if "exclusiveMinimum" in field else ""


def _number(value: float) -> str:
    return f"{value:,g}" if not float(value).is_integer() else f"{int(value):,}"


def _kinds() -> str:
    ours = [handler for handler in installed().all() if type(handler).__module__.startswith("holdfast.handlers.")]
    rows = [
        row(
            [
                f"`{it.kind}`",
                f"`holdfast.{it.queue}`",
                str(it.policy.max_attempts),
                f"{it.time_limit.total_seconds():g} s",
            ]
        )
        for it in ours
    ]
    return table(["kind", "queue", "attempts", "time limit of an attempt"], rows)
