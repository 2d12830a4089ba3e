"""The only way out of the platform: image sources, PDF assets and webhooks all leave through here.

Promise: no request reaches an address that the guard refuses, whatever its spelling, resolver or redirects,
and no response body grows past its cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from holdfast.domain.errors import Rejected, TryLater


class Forbidden(Rejected):
    """The address is not one that Holdfast may dial, or the URL is not http or https."""


class Unreachable(TryLater):
    """No connection, no answer in time, or the answer broke off."""


class TooLarge(Rejected):
    """The response body is larger than its cap."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. `truncated` says that the body went past the cap and was cut there."""

    status: int
    headers: Mapping[str, str]
    """Header names in lower case."""
    body: bytes
    truncated: bool
    elapsed: timedelta


class Egress(Protocol):
    """An HTTP client behind the egress guard. Raises Forbidden and Unreachable."""

    async def get(self, url: str, *, limit: int, timeout: timedelta) -> Response:
        """GET, following at most a few redirects, each one guarded. Raise TooLarge past `limit` bytes."""
        ...

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, limit: int, timeout: timedelta
    ) -> Response:
        """POST without following redirects; the body of the answer is cut at `limit` bytes."""
        ...
