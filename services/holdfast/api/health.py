"""Liveness and readiness.

`/healthz` says that the process answers. `/readyz` says whether it can do its work, and names what keeps it:
without Postgres it cannot accept (503); without RabbitMQ or Redis it still accepts, so it stays ready and says
`degraded`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from holdfast.api.state import StateDep, answer
from holdfast.api.strict import StrictRoute
from holdfast.domain.errors import Unavailable

router = APIRouter(tags=["health"], route_class=StrictRoute)

NEEDED = {"postgres", "artifacts"}
"""Without these nothing can be accepted."""
PATIENCE = 3.0
"""Seconds for each dependency to answer."""


@router.get("/healthz")
async def alive() -> Response:
    """Answer: the process is alive."""
    return answer({"status": "ok"})


@router.get("/readyz")
async def ready(state: StateDep) -> Response:
    """Ask every dependency; 503 when one that is needed to accept jobs does not answer."""
    core = state.runtime.core
    asked = {
        "postgres": core.ledger.ping(),
        "rabbitmq": core.broker.ping(),
        "redis": state.runtime.gate.ping(),
        "artifacts": core.artifacts.ping(),
    }
    answers = dict(zip(asked, await asyncio.gather(*map(_ask, asked.values())), strict=True))
    failing = {name for name, found in answers.items() if not found["ok"]}
    status = "ok" if not failing else "unavailable" if failing & NEEDED else "degraded"
    return answer({"status": status, "dependencies": answers}, 503 if status == "unavailable" else 200)


async def _ask(question: Awaitable[None]) -> dict[str, Any]:
    try:
        await asyncio.wait_for(question, PATIENCE)
    except Unavailable as error:
        return {"ok": False, "error": str(error)}
    except TimeoutError:
        return {"ok": False, "error": f"no answer within {PATIENCE:g} s"}
    return {"ok": True}
