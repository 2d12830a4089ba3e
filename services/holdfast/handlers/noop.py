"""`custom.noop`: do nothing, so that what is measured is what Holdfast itself costs.

Every guarantee holds for it as for any other kind: it is accepted, claimed, settled and kept. It calls nobody.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.domain.backoff import RetryPolicy
from holdfast.ports.handler import DEFAULT_POLICY, Context

LONGEST = 60.0


class NoopPayload(BaseModel):
    """What a job costs depends on its size, and on how long it holds its slot."""

    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(default=0.0, ge=0, le=LONGEST)
    """How long it holds its slot, waiting."""
    filler: str = ""
    """Any text: it makes the payload as large as one likes."""


class Noop:
    """Succeeds at once, or after `seconds`."""

    kind: ClassVar[str] = "custom.noop"
    queue: ClassVar[str] = "custom"
    Payload: ClassVar[type[BaseModel]] = NoopPayload
    policy: ClassVar[RetryPolicy] = DEFAULT_POLICY
    time_limit: ClassVar[timedelta] = timedelta(seconds=LONGEST + 15)

    async def run(self, context: Context, payload: NoopPayload) -> Outcome:
        """Wait, if that is asked for."""
        if payload.seconds:
            await asyncio.sleep(payload.seconds)
        return Succeeded({"attempt": context.attempt})
