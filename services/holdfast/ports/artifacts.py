"""Where results are kept.

Keys are `jobs/<job id>/<fencing token>/<name>` and `uploads/<tenant>/<upload id>`: an attempt that was taken
over writes beside its successor, never over it, and the job's result names the keys that count.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Artifact:
    """A stored object. `sha256` is lower-case hex; `size` is in bytes."""

    name: str
    key: str
    media_type: str
    size: int
    sha256: str


class Artifacts(Protocol):
    """A flat object store. Methods raise ArtifactsUnavailable when it does not answer."""

    async def put(self, key: str, data: bytes, media_type: str) -> None:
        """Store the object under a new key; storing the same key again is a no-op."""
        ...

    async def get(self, key: str) -> bytes:
        """The whole object; raise NotFound when there is none."""
        ...

    async def size(self, key: str) -> int:
        """The object's size in bytes; raise NotFound when there is none."""
        ...

    def stream(self, key: str) -> AsyncIterator[bytes]:
        """The object in chunks; raise NotFound on the first one when there is none."""
        ...

    async def url(self, key: str, media_type: str, lifetime: timedelta) -> str | None:
        """A presigned URL when the store can make one (S3), else None: the api then streams the object itself."""
        ...

    async def delete(self, prefix: str) -> int:
        """Remove every object below `prefix` (`jobs/<job id>`); return how many. None is not an error."""
        ...

    async def delete_older(self, prefix: str, before: datetime) -> int:
        """Remove every object below `prefix` that was stored before that time; return how many."""
        ...

    async def ping(self) -> None:
        """Raise ArtifactsUnavailable unless the store can be written."""
        ...
