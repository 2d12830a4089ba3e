"""`webhook.dispatch`: deliver one signed POST, and keep what the receiver said.

At least once: a crash after the receiver answered and before the attempt is settled delivers again, with the same
`webhook-id` and the same bytes, so a receiver that remembers ids acts once.

| the receiver                          | the attempt                                                        |
|---------------------------------------|--------------------------------------------------------------------|
| answers 2xx                           | succeeded                                                          |
| answers 410 Gone                      | buried as `ReceiverGone`: it has asked for no more                 |
| … and is an endpoint                  | parked, unspent; the endpoint is disabled                          |
| answers anything else, redirects too  | retried; a `Retry-After` is the least wait                         |
| cannot be reached, or breaks off      | retried                                                            |
| has been failing (its breaker is open)| parked, unspent, until it may be well again                        |
| is at a refused address               | buried                                                             |

Every other 4xx is retried, as Standard Webhooks, Svix and Stripe do: a 401 or 404 of a receiver is far more often a
deployment in progress or an endpoint not registered yet than a verdict on the message, and the retries are few. The
job ends in the dead letters either way, where it can be replayed once the receiver is mended.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel

from holdfast import __version__
from holdfast.domain.attempt import Bury, Outcome, Park, Retry, Succeeded
from holdfast.domain.backoff import RetryPolicy
from holdfast.domain.dead_letter import DeadReason, Failure
from holdfast.domain.errors import Rejected
from holdfast.handlers.destination import destination
from holdfast.handlers.retry_after import retry_after
from holdfast.handlers.webhook.payload import MAX_TIMEOUT, WebhookPayload
from holdfast.handlers.webhook.signature import sign
from holdfast.handlers.webhook.target import LONGEST_PARK, Target, aim, tell
from holdfast.ports.egress import Forbidden, Response, Unreachable
from holdfast.ports.handler import DEFAULT_POLICY, Context
from holdfast.ports.receivers import Delivery

GONE = 410
KEPT_HEADERS = ("content-type", "location", "retry-after", "server", "request-id", "x-request-id")
"""What of the receiver's headers helps to find out why a delivery failed."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class WebhookDispatch:
    """Delivers webhooks; see the module for what becomes of each answer."""

    kind: ClassVar[str] = "webhook.dispatch"
    queue: ClassVar[str] = "webhook"
    Payload: ClassVar[type[BaseModel]] = WebhookPayload
    policy: ClassVar[RetryPolicy] = DEFAULT_POLICY
    time_limit: ClassVar[timedelta] = timedelta(seconds=MAX_TIMEOUT + 15)

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now

    async def run(self, context: Context, payload: WebhookPayload) -> Outcome:
        """Send the webhook once."""
        body = _body(context, payload)
        target = await aim(context, payload)
        if not isinstance(target, Target):
            return target
        try:
            response = await self._post(context, payload, target, body)
        except (Unreachable, Forbidden):
            await tell(context, target, Delivery.FAILED)
            raise
        await tell(context, target, _delivery(response.status))
        return self._outcome(context, target, response)

    async def _post(self, context: Context, payload: WebhookPayload, target: Target, body: bytes) -> Response:
        headers = self._headers(context, payload, target, body)
        async with context.downstream(destination("webhook", target.url)) as call:
            response = await context.egress.post(
                target.url,
                body,
                headers,
                limit=context.limits.webhook_response_bytes,
                timeout=timedelta(seconds=min(payload.timeout_seconds, context.limits.webhook_timeout)),
            )
            call.answered(response.status, retry_after(response.headers.get("retry-after"), self._now()))
        return response

    def _headers(self, context: Context, payload: WebhookPayload, target: Target, body: bytes) -> dict[str, str]:
        signed = sign(message_id(context), self._now(), body, target.secrets)
        ours = {"user-agent": f"Holdfast/{__version__}"}
        return {"content-type": payload.media_type, **target.headers, **signed, **ours}

    def _outcome(self, context: Context, target: Target, response: Response) -> Outcome:
        detail = _detail(response)
        if 200 <= response.status < 300:
            result = {"status": response.status, "elapsed_ms": detail["elapsed_ms"], "attempts": context.attempt}
            return Succeeded(result, detail)
        host = urlsplit(target.url).hostname
        if response.status == GONE and target.endpoint_id is not None:
            return Park(LONGEST_PARK, f"{host} answered 410 Gone", detail, parked_by=target.endpoint_id)
        if response.status == GONE:
            message = f"{host} answered 410 Gone: it wants no more of these webhooks; stop sending them to this URL"
            return Bury(Failure(DeadReason.REJECTED, "ReceiverGone", message), detail)
        wait = retry_after(response.headers.get("retry-after"), self._now())
        return Retry(Failure(None, f"Status{response.status}", _complaint(host, response.status)), wait, detail)


def _delivery(status: int) -> Delivery:
    """What an answer means for the endpoint that gave it."""
    if 200 <= status < 300:
        return Delivery.TAKEN
    return Delivery.GONE if status == GONE else Delivery.FAILED


def message_id(context: Context) -> str:
    """The `webhook-id`: the same for every attempt and replay of the job, and for no other job."""
    return f"msg_{context.job_id.hex}"


def _body(context: Context, payload: WebhookPayload) -> bytes:
    body = payload.content(context.created_at)
    most = context.limits.webhook_body_bytes
    if len(body) > most:
        raise Rejected(f"the body has {len(body)} bytes; a webhook has at most {most}", error="BodyTooLarge")
    return body


def _complaint(host: str | None, status: int) -> str:
    if 300 <= status < 400:
        return f"{host} answered {status}, a redirect, which webhooks do not follow; use the final URL"
    return f"{host} answered {status} instead of a 2xx"


def _detail(response: Response) -> dict[str, Any]:
    """What the ledger keeps of the answer. Postgres cannot store NUL in JSON text."""
    return {
        "status": response.status,
        "headers": {name: response.headers[name][:1024] for name in KEPT_HEADERS if name in response.headers},
        "body": response.body.decode("utf-8", "replace").replace("\0", "\ufffd"),
        "truncated": response.truncated,
        "elapsed_ms": round(response.elapsed.total_seconds() * 1000, 1),
    }
