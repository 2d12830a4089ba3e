"""`ports.artifacts.Artifacts` on obstore: one code path for a local folder and for S3.

Invariant: a key is written once. Objects are created, never overwritten (`link` on a disk, `If-None-Match: *` in
S3), and a second `put` of a key is a no-op, so a repeated attempt cannot change a result that was handed out.
A write is atomic: a crash half-way leaves no object, at most a temporary file beside it (`<name>#<n>`), which no
key can name.

The store is opened on first use and not before, because obstore starts threads, which do not survive a fork. Do not
use one in a process that forks workers later.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store

from holdfast.adapters.artifacts.keys import checked
from holdfast.domain.errors import ArtifactsUnavailable, NotFound

CHUNK = 256 * 1024
PAGE = 500
"""Objects that a deletion lists, and deletes, at a time (S3 takes 1,000 in one request)."""
PING_KEY = "health/ping"
TIMEOUT = timedelta(seconds=30)
"""Longest single request to S3."""
RETRY_FOR = timedelta(seconds=10)
"""How long obstore itself retries a failing request; past it the job's own retries take over."""


class ObstoreArtifacts:
    """Artifacts under `file://<folder>` or `s3://<bucket>/<prefix>`.

    `file://.holdfast/artifacts` is relative to the working directory, `file:///var/lib/holdfast` is absolute; the
    folder is created. S3 takes credentials, region and endpoint from the usual `AWS_*` variables (or from the ECS task
    role); `AWS_ENDPOINT_URL=http://…` points it to a stand-in.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._scheme, self._place = _split(url)

    async def put(self, key: str, data: bytes, media_type: str) -> None:
        """Store the object under a new key; storing the same key again is a no-op."""
        # A local folder keeps no media type; the ledger knows it.
        attributes = {"Content-Type": media_type} if self._scheme == "s3" else None
        with self._errors(key):
            try:
                await obstore.put_async(
                    self._store, checked(key), data, mode="create", attributes=attributes, use_multipart=False
                )
            except AlreadyExistsError:
                return

    async def get(self, key: str) -> bytes:
        """The whole object; raise NotFound when there is none."""
        with self._errors(key):
            found = await obstore.get_async(self._store, checked(key))
            return bytes(await found.bytes_async())

    async def size(self, key: str) -> int:
        """The object's size in bytes; raise NotFound when there is none."""
        with self._errors(key):
            return (await obstore.head_async(self._store, checked(key)))["size"]

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The object in chunks of about 256 KiB; raise NotFound on the first one when there is none."""
        with self._errors(key):
            found = await obstore.get_async(self._store, checked(key))
            async for chunk in found.stream(min_chunk_size=CHUNK):
                yield bytes(chunk)

    async def url(self, key: str, media_type: str, lifetime: timedelta) -> str | None:  # noqa: ARG002
        """A presigned URL of S3, which answers with the media type that was stored; None for a local folder."""
        with self._errors(key):
            if not isinstance(self._store, S3Store):
                return None
            return await obstore.sign_async(self._store, "GET", checked(key), lifetime)

    async def delete(self, prefix: str) -> int:
        """Remove every object below `prefix`; a local folder loses its empty folders too."""
        return await self._delete(prefix, None)

    async def delete_older(self, prefix: str, before: datetime) -> int:
        """Remove by the time at which the store took each object."""
        return await self._delete(prefix, before)

    async def _delete(self, prefix: str, before: datetime | None) -> int:
        """List and delete, page by page; an object that somebody else deleted meanwhile is as good as deleted."""
        removed = 0
        with self._errors(prefix):
            async for page in obstore.list(self._store, f"{checked(prefix)}/", chunk_size=PAGE):
                paths = [found["path"] for found in page if before is None or found["last_modified"] < before]
                for path in paths if self._scheme == "file" else ():
                    with suppress(FileNotFoundError):
                        await obstore.delete_async(self._store, path)
                if paths and self._scheme == "s3":
                    await obstore.delete_async(self._store, paths)
                removed += len(paths)
        return removed

    async def ping(self) -> None:
        """Raise ArtifactsUnavailable unless the store can be written."""
        with self._errors(PING_KEY):
            await obstore.put_async(self._store, PING_KEY, b"ok", use_multipart=False)

    @cached_property
    def _store(self) -> LocalStore | S3Store:
        if self._scheme == "file":
            return LocalStore(Path(self._place).absolute(), mkdir=True, automatic_cleanup=True)
        bucket, _, prefix = self._place.partition("/")
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
        return S3Store(
            bucket,
            prefix=prefix.strip("/") or None,
            client_options={"timeout": TIMEOUT, "allow_http": endpoint.startswith("http://")},
            retry_config={"max_retries": 3, "retry_timeout": RETRY_FOR},
        )

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Turn obstore's errors into the port's; their further lines are Rust's debug output."""
        try:
            yield
        except FileNotFoundError:
            raise NotFound(f"there is no artifact {key}") from None
        except (BaseError, OSError) as error:
            why = str(error).partition("\n")[0]
            raise ArtifactsUnavailable(f"the artifact store {self._url} failed: {why}") from error


def _split(url: str) -> tuple[str, str]:
    """Scheme and place of an artifacts URL; raise ValueError that shows what is expected."""
    scheme, _, place = url.partition("://")
    if scheme not in {"file", "s3"} or not place.strip("/") or urlsplit(url).query:
        raise ValueError(
            f"HOLDFAST_ARTIFACTS_URL is {url!r}; write file://<folder>, file:///<absolute folder> or s3://<bucket>/<prefix>"
        )
    return scheme, place
