"""`payment.process`: charge once, however often the job runs.

The gateway is called under a circuit breaker of its own name: while it is down, payments are parked without spending
an attempt, and no worker holds a slot for it.

The job's stable key goes along as `Idempotency-Key`. When the answer is lost, or the worker dies with the charge
made, the next attempt sends the same key and the gateway answers with the charge that it has.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar

import orjson
from pydantic import BaseModel, ConfigDict, Field

from holdfast.domain.attempt import Outcome, Succeeded
from holdfast.domain.errors import HandlerError, Rejected, TryLater
from holdfast.ports.egress import Response
from holdfast.ports.handler import DEFAULT_POLICY, Context
from holdfast_demo_kinds.settings import setting
from holdfast_demo_kinds.stable_key import stable_key

GATEWAY = "payment:gateway"
"""Under this name the gateway's health is kept; `payment:*` is its family in HOLDFAST_DOWNSTREAMS."""
MAX_ANSWER = 64 * 1024


class Payment(BaseModel):
    """An amount in the currency's smallest unit, and the token under which the gateway knows the card."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    amount: Annotated[int, Field(gt=0, le=10**12)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    card: Annotated[str, Field(pattern=r"^tok_\w+$", max_length=100)] = Field(repr=False)
    reference: Annotated[str, Field(max_length=200)] = ""


class ProcessPayment:
    """Charges at `HOLDFAST_DEMO_GATEWAY_URL` (`POST <url>/charges`) with the key `HOLDFAST_DEMO_GATEWAY_KEY`."""

    kind: ClassVar = "payment.process"
    queue: ClassVar = "custom"
    Payload: ClassVar = Payment
    policy: ClassVar = DEFAULT_POLICY
    time_limit: ClassVar = timedelta(seconds=45)

    async def run(self, context: Context, payload: Payment) -> Outcome:
        """Make the charge, or learn that it was made before."""
        url, key = setting("HOLDFAST_DEMO_GATEWAY_URL"), setting("HOLDFAST_DEMO_GATEWAY_KEY")
        async with context.downstream(GATEWAY) as call:
            response = await context.egress.post(
                f"{url.rstrip('/')}/charges",
                orjson.dumps(payload.model_dump()),
                {
                    "authorization": f"Bearer {key}",
                    "content-type": "application/json",
                    "idempotency-key": stable_key(context),
                },
                limit=MAX_ANSWER,
                timeout=timedelta(seconds=30),
            )
            call.answered(response.status, _wait(response))
        if 200 <= response.status < 300:
            return Succeeded({"charge": _charge_id(response), "amount": payload.amount, "currency": payload.currency})
        raise _failure(response)


def _charge_id(response: Response) -> str:
    try:
        return str(_object(response)["id"])
    except KeyError:
        # The charge may have been made: the same key finds out.
        raise TryLater("the gateway answered without a charge id", error="BrokenAnswer") from None


def _failure(response: Response) -> HandlerError:
    """What a refusal means: a declined card stays declined, a busy gateway does not stay busy."""
    why = str(_object(response).get("error", "no reason given"))[:200]
    match response.status:
        case 402:
            return Rejected(f"the card was declined: {why}", error="Declined")
        case 401 | 403:
            return TryLater("the gateway does not know our key; check HOLDFAST_DEMO_GATEWAY_KEY", error="NotConfigured")
        case 408 | 409 | 425 | 429:
            return TryLater(f"the gateway asks to wait: {why}", error="GatewayBusy", after=_wait(response))
        case status if status >= 500:
            return TryLater(f"the gateway failed with {status}", error="GatewayFailed", after=_wait(response))
        case status:
            return Rejected(f"the gateway refused the charge with {status}: {why}", error="GatewayRefused")


def _wait(response: Response) -> timedelta | None:
    value = response.headers.get("retry-after", "")
    return timedelta(seconds=int(value[:6])) if value.isascii() and value.isdigit() else None


def _object(response: Response) -> dict[str, Any]:
    try:
        parsed = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
