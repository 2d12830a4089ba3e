"""`image.transform`: one source picture, up to twenty variants of it.

The pixels are touched only in an isolated child (`engine`): this module must not import libvips, for a Celery
parent that has started it before the fork leaves its children deadlocked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import BaseModel

from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.domain.backoff import RetryPolicy
from holdfast.handlers.image.payload import ImagePayload
from holdfast.handlers.isolated import outcome_of
from holdfast.handlers.source import load
from holdfast.ports.handler import DEFAULT_POLICY, Context
from holdfast.ports.isolation import IsolatedCrash, IsolatedTimeout

ENGINE = "holdfast.handlers.image.engine:transform"
EXTENSIONS = {"jpeg": "jpg"}
MEDIA_TYPES = {name: f"image/{name}" for name in ("jpeg", "png", "webp", "avif", "gif")}


class ImageTransform:
    """Transforms images: resize, crop, rotate, watermark, convert; metadata is always left behind."""

    kind: ClassVar[str] = "image.transform"
    queue: ClassVar[str] = "image"
    Payload: ClassVar[type[BaseModel]] = ImagePayload
    policy: ClassVar[RetryPolicy] = DEFAULT_POLICY
    time_limit: ClassVar[timedelta] = timedelta(seconds=180)
    """The default limits of the fetches (30 s each, sources and watermarks) and the engine (60 s), and some air."""

    async def run(self, context: Context, payload: ImagePayload) -> Outcome:
        """Load the source and the watermarks, make the variants, store them."""
        request = await self._request(context, payload)
        try:
            made = await self._transform(context, request)
        except (IsolatedTimeout, IsolatedCrash) as death:
            return outcome_of(death)
        pairs = zip(payload.variants, made["variants"], strict=True)
        return Succeeded(
            {"source": made["source"], "variants": [await _stored(context, wanted.name, one) for wanted, one in pairs]}
        )

    async def _request(self, context: Context, payload: ImagePayload) -> dict[str, Any]:
        """What the engine gets; a watermark that several variants share is fetched once."""
        source = await load(context, payload.source)
        marks = {mark.source: b"" for variant in payload.variants if (mark := variant.watermark) and mark.source}
        for mark_source in marks:
            marks[mark_source] = await load(context, mark_source)
        variants = []
        for variant in payload.variants:
            plain = variant.model_dump()
            if variant.watermark and variant.watermark.source:
                plain["watermark"]["source"] = marks[variant.watermark.source]
            variants.append(plain)
        return {"source": source, "variants": variants}

    async def _transform(self, context: Context, request: dict[str, Any]) -> Mapping[str, Any]:
        limits = context.limits
        request["limits"] = {
            "pixels": limits.image_pixels,
            "frames": limits.image_frames,
            "scans": limits.image_scans,
            "total_pixels": limits.image_total_pixels,
            "memory": limits.image_memory,
        }
        answer: Mapping[str, Any] = await context.isolation.call(
            ENGINE, request, timeout=timedelta(seconds=limits.image_timeout), memory=limits.image_memory
        )
        return answer


async def _stored(context: Context, name: str, made: Mapping[str, Any]) -> dict[str, Any]:
    """Keep one variant. Its name is the payload's: the child counts as taken over by what it read."""
    form = made["format"]
    artifact = await context.save(f"{name}.{EXTENSIONS.get(form, form)}", made["data"], MEDIA_TYPES[form])
    facts = {"name": name} | {key: made[key] for key in ("width", "height", "format", "frames")}
    return facts | {"artifact": artifact.name, "bytes": artifact.size}
