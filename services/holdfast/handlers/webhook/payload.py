"""What a client says about a webhook, and what is refused at submit, where the client can still mend it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Self
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, SecretStr, model_validator

from holdfast.handlers.destination import destination
from holdfast.handlers.webhook.signature import secret_bytes

MAX_TIMEOUT = 60.0
"""Seconds; the operator's `limits.webhook_timeout` is usually lower and counts when it is."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_VALUE = re.compile(r"[\x20-\x7e\t]{0,4096}")
# fmt: off
_OURS = frozenset({
    "host", "content-length", "content-encoding", "accept-encoding", "user-agent", "expect", "connection",
    "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})
# fmt: on
"""Set by Holdfast, or about one connection only (RFC 9110, 7.6.1)."""


@lru_cache(1_000)
def _url(url: str) -> str:
    """A first look for early answers; the egress guard decides again when it dials."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an absolute http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain credentials; send them in a header")
    return url


def _secret(secret: SecretStr) -> SecretStr:
    secret_bytes(secret.get_secret_value())
    return secret


def _headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} is not a header name")
        if name.lower() in _OURS or name.lower().startswith("webhook-"):
            raise ValueError(f"{name} is set by Holdfast")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} must be at most 4,096 printable ASCII characters on one line")
    if len({name.lower() for name in headers}) < len(headers):
        raise ValueError("a header name appears twice")
    return headers


WebhookUrl = Annotated[str, Field(min_length=1, max_length=8000), AfterValidator(_url)]
EventType = Annotated[str, Field(pattern=r"^\w+(\.\w+)*$", max_length=128)]
Headers = Annotated[dict[str, str], Field(max_length=32), AfterValidator(_headers)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]


class WebhookPayload(BaseModel):
    """One POST. Exactly one of `body` (any JSON, null too) and `body_text` is its content."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: WebhookUrl | None = None
    endpoint_id: UUID | None = None
    """In place of `url`: its URL, headers and secrets as they are when the webhook is delivered."""
    body: JsonValue = Field(default=None, repr=False)
    body_text: str | None = Field(default=None, repr=False)
    event_type: EventType | None = None
    """Wraps `body` as Standard Webhooks recommends: `{"type": event_type, "timestamp": …, "data": body}`."""
    headers: Headers = Field(default_factory=dict, repr=False, json_schema_extra={"writeOnly": True})
    secret: Secret | None = None
    secrets: Annotated[list[Secret], Field(min_length=1, max_length=5)] | None = None
    """Several while rotating: the receiver needs to know any one of them."""
    ordering_key: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x20-\x7e]+$")] | None = None
    """Webhooks with the same key to the same endpoint or host are delivered one after the other, in the order of
    acceptance."""
    timeout_seconds: float = Field(default=15.0, ge=0.1, le=MAX_TIMEOUT)

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.url is None) == (self.endpoint_id is None):
            raise ValueError("give exactly one of url and endpoint_id")
        if self.endpoint_id is not None and (self.secret or self.secrets):
            raise ValueError("an endpoint has secrets of its own; leave secret and secrets out")
        if ("body" in self.model_fields_set) == (self.body_text is not None):
            raise ValueError("give exactly one of body and body_text")
        if self.body_text is not None and self.event_type is not None:
            raise ValueError("event_type wraps a JSON body; it cannot go with body_text")
        if self.secret is not None and self.secrets is not None:
            raise ValueError("give secret or secrets, not both")
        self._written()
        return self

    def destination(self) -> str:
        """The endpoint, or host and port."""
        return destination("webhook", self.url) if self.url is not None else f"endpoint:{self.endpoint_id}"

    @property
    def receiver_id(self) -> UUID:
        """The endpoint, where there is no URL."""
        if self.endpoint_id is None:
            raise ValueError("the webhook goes to a URL")
        return self.endpoint_id

    def signing_secrets(self) -> list[str]:
        """The secrets in the clear, for signing only."""
        several = [self.secret] if self.secret else self.secrets or []
        return [secret.get_secret_value() for secret in several]

    def content(self, created_at: datetime) -> bytes:
        """The bytes to send: the same for every attempt, because the only time in them is the job's own."""
        data = self._written()
        if self.event_type is None:
            return data
        stamp = created_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return orjson.dumps({"type": self.event_type, "timestamp": stamp, "data": orjson.Fragment(data)})

    def _written(self) -> bytes:
        """The body as UTF-8 or compact JSON; raise ValueError for what has no such form."""
        try:
            return orjson.dumps(self.body) if self.body_text is None else self.body_text.encode()
        except (orjson.JSONEncodeError, UnicodeEncodeError):
            raise ValueError(
                "the body has lone surrogates, integers past 64 bits, or more than 254 levels; send it as body_text"
            ) from None

    @property
    def media_type(self) -> str:
        """The content type, unless the client's headers name another."""
        return "application/json" if self.body_text is None else "text/plain; charset=utf-8"
