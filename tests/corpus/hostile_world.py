"""Runs one hostile input as its job's handler would be run, and says by name what became of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from corpus.case import SUCCEEDED, Case
from holdfast.adapters.egress import AiohttpEgress
from holdfast.adapters.isolation.pool import SubprocessIsolation
from holdfast.domain.attempt import Bury, Outcome, Retry, Succeeded
from holdfast.domain.errors import HandlerError
from holdfast.handlers.image.payload import ImagePayload
from holdfast.handlers.image.transform import ImageTransform
from holdfast.handlers.pdf import PdfRender
from holdfast.handlers.pdf.payload import PdfPayload
from holdfast.ports.limits import Limits
from imagepdf_world import World

LIMITS = Limits(image_timeout=20, pdf_timeout=30, pdf_memory=768 * 1024**2)
_TEN = timedelta(seconds=10)
SHORT = Limits(image_timeout=0.8, pdf_timeout=0.8)
"""For inputs that run until they are killed: what matters is that they are."""


class HostileWorld(World):
    """A world with the real egress guard. `outcome` is what the handler came to, `stored` what it saved."""

    def __init__(self, isolation: SubprocessIsolation, folder: Path) -> None:
        super().__init__(isolation)
        self.folder = folder
        self.egress = AiohttpEgress()
        self.web = self.egress  # type: ignore[assignment]
        self.outcome: Outcome | None = None

    @property
    def stored(self) -> list[bytes]:
        """What the jobs saved."""
        return [data for key, data in self.artifacts.objects.items() if key.startswith("jobs/")]

    async def picture(self, data: bytes, options: dict[str, Any], limits: Limits) -> str:
        """Transform a picture; the name of the outcome."""
        variants = options.get("variants") or [{"name": "v", "width": 32, "format": "png"} | options.get("variant", {})]
        payload = ImagePayload.model_validate({"source": self.upload(data), "variants": variants})
        return await self._named(ImageTransform(), payload, limits.model_copy(update=options.get("limits", {})))

    async def document(self, data: bytes, limits: Limits, web: str = "127.0.0.1:8000") -> str:
        """Render a document; the name of the outcome."""
        text = data.decode().replace("FILE/", f"{self.folder}/").replace("WEB", web)
        try:
            payload = PdfPayload.model_validate(json.loads(text))
        except ValidationError:
            return "InvalidPayload"
        return await self._named(PdfRender(), payload, limits)

    async def alive(self) -> bool:
        """Whether the pool still gives a child that answers."""
        return bool(await self.isolation.call("builtins:bool", {"x": 1}, timeout=_TEN, memory=2**30))

    async def _named(self, handler: Any, payload: Any, limits: Limits) -> str:
        try:
            self.outcome = await handler.run(self.context(limits), payload)
        except HandlerError as error:
            return error.error
        match self.outcome:
            case Succeeded():
                return SUCCEEDED
            case Retry(failure) | Bury(failure):
                return failure.error
            case _:
                raise AssertionError(f"an outcome that no hostile input should have: {self.outcome}")


def limits_for(case: Case) -> Limits:
    """Generous, but for a case that is to be killed."""
    return SHORT if case.outcome == "IsolatedTimeout" else LIMITS
