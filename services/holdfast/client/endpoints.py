"""Webhook endpoints: the part of the client that makes and changes them. Changes need a key with `operate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from holdfast.client.models import Page
from holdfast.client.operations import Operations, given, part
from holdfast.client.wire import Repeat


class SigningSecret(BaseModel):
    """A secret that signs, without the secret."""

    model_config = ConfigDict(frozen=True, extra="allow")

    created_at: datetime
    expires_at: datetime | None = None


class Endpoint(BaseModel):
    """An endpoint as the api shows it. `secret` is there once: when it was just made, or just rotated."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    url: str
    description: str = ""
    event_types: tuple[str, ...] = ()
    header_names: tuple[str, ...] = ()
    state: str
    since: datetime
    why: str | None = None
    failures: int = 0
    failing_since: datetime | None = None
    next_probe_at: datetime | None = None
    secrets: tuple[SigningSecret, ...] = ()
    created_at: datetime
    parked_jobs: int | None = None
    secret: str | None = Field(default=None, repr=False)


class EndpointPage(Page):
    """`GET /v1/endpoints`."""

    endpoints: tuple[Endpoint, ...]

    def items(self) -> Sequence[Endpoint]:
        """The endpoints."""
        return self.endpoints


class Endpoints(Operations):
    """The endpoints' part of `Holdfast`. A `reason` is kept in the audit trail, with whose key it was."""

    def create_endpoint(
        self,
        url: str,
        *,
        description: str | None = None,
        event_types: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        secret: str | None = None,
        reason: str | None = None,
    ) -> Endpoint:
        """Make an endpoint; its `secret` is shown now and never again.

        Not repeated when the answer is lost: `endpoints` tells whether it was made, `rotate_secret` gives it a secret
        that you know.
        """
        body = given(url=url, description=description, headers=headers and dict(headers), secret=secret, reason=reason)
        return self._change("POST", "", body | ({"event_types": list(event_types)} if event_types else {}))

    def endpoints(self, *, limit: int | None = None) -> Iterator[Endpoint]:
        """The endpoints, newest first."""
        yield from self._pages("/v1/endpoints", {}, EndpointPage, limit)

    def endpoint(self, endpoint_id: str) -> Endpoint:
        """One endpoint, with how many jobs are parked until it is enabled."""
        return self._wire.parse(Endpoint, self._wire.call("GET", f"/v1/endpoints/{part(endpoint_id)}"))

    def change_endpoint(
        self,
        endpoint_id: str,
        *,
        url: str | None = None,
        description: str | None = None,
        event_types: Sequence[str] | None = None,
        headers: Mapping[str, str] | None = None,
        reason: str | None = None,
    ) -> Endpoint:
        """Change what is given; `event_types` and `headers` are replaced as a whole."""
        types = None if event_types is None else list(event_types)
        chosen = given(url=url, description=description, event_types=types, headers=headers and dict(headers))
        return self._change("PATCH", f"/{part(endpoint_id)}", chosen | given(reason=reason))

    def rotate_secret(
        self,
        endpoint_id: str,
        *,
        secret: str | None = None,
        overlap: float | None = None,
        reason: str | None = None,
    ) -> Endpoint:
        """Give it a new `secret`, shown now and never again; for `overlap` seconds (a day) the one before signs too."""
        body = given(secret=secret, overlap_seconds=overlap, reason=reason)
        return self._change("POST", f"/{part(endpoint_id)}/rotate-secret", body)

    def enable_endpoint(self, endpoint_id: str, reason: str | None = None) -> Endpoint:
        """Deliver again; parked jobs begin within about a second."""
        return self._change("POST", f"/{part(endpoint_id)}/enable", given(reason=reason))

    def disable_endpoint(self, endpoint_id: str, reason: str | None = None) -> Endpoint:
        """Deliver no more; jobs are parked until it is enabled."""
        return self._change("POST", f"/{part(endpoint_id)}/disable", given(reason=reason))

    def delete_endpoint(self, endpoint_id: str, reason: str | None = None) -> Endpoint:
        """Delete it for good; jobs that still name it end as dead."""
        path = f"/v1/endpoints/{part(endpoint_id)}"
        answer = self._wire.call("DELETE", path, repeat=Repeat.UNSENT, params=given(reason=reason))
        return self._wire.parse(Endpoint, answer)

    def _change(self, method: str, path: str, body: Mapping[str, Any]) -> Endpoint:
        answer = self._wire.call(method, f"/v1/endpoints{path}", repeat=Repeat.UNSENT, json=dict(body))
        return self._wire.parse(Endpoint, answer)
