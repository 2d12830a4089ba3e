"""Where the input of a job comes from: a URL, an upload, or an artifact of an earlier job. One type for all handlers.

Policy for a URL that does not answer 2xx: what the other side may mend (408, 425, 429, 5xx, no connection) is
tried later, honouring Retry-After; everything else can never succeed and is rejected.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from holdfast.domain.errors import HandlerError, NotFound, Rejected, TryLater
from holdfast.handlers.destination import destination
from holdfast.handlers.retry_after import retry_after
from holdfast.ports.egress import Response, TooLarge
from holdfast.ports.handler import Context

_MENDABLE = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


class SourceNotFound(Rejected):
    """There is nothing at the source."""


class SourceRefused(Rejected):
    """The source's server does not hand it out (a 4xx, or a redirect that leads nowhere)."""


class SourceUnavailable(TryLater):
    """The source's server is overloaded or broken."""


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("give an absolute http or https URL, such as https://example.com/picture.jpg")
    return value


WebAddress = Annotated[str, Field(max_length=4096, pattern=r"^[^\s\x00-\x1f]+$"), AfterValidator(_web_address)]
"""An absolute http or https URL; whether it may be dialled is the egress guard's business."""


class ArtifactSource(BaseModel):
    """A result of an earlier job of the same tenant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: UUID
    name: str = Field(min_length=1, max_length=255)


class Source(BaseModel):
    """Exactly one of `url`, `upload` and `artifact`."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={"oneOf": [{"required": ["url"]}, {"required": ["upload"]}, {"required": ["artifact"]}]},
    )

    url: WebAddress | None = None
    """Fetched when the job runs."""
    upload: UUID | None = None
    """The id that `POST /v1/uploads` gave."""
    artifact: ArtifactSource | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Source:
        given = [name for name in ("url", "upload", "artifact") if getattr(self, name) is not None]
        if len(given) != 1:
            got = " and ".join(given) or "none of them"
            raise ValueError(f"give exactly one of url, upload and artifact; this has {got}")
        return self


async def load(context: Context, source: Source) -> bytes:
    """The bytes of the source, at most `limits.source_bytes`. Raises Rejected or TryLater with the reason."""
    if source.url is not None:
        return (await fetch(context, "image-source", source.url, context.limits.source_bytes)).body
    if source.upload is not None:
        return await _stored(context, f"uploads/{context.tenant}/{source.upload}", f"upload {source.upload}")
    assert source.artifact is not None  # noqa: S101 (the validator saw to it)
    artifact = await context.find(source.artifact.job_id, source.artifact.name)
    return await _stored(context, artifact.key, f"artifact {artifact.name} of job {source.artifact.job_id}")


async def fetch(context: Context, family: str, url: str, limit: int) -> Response:
    """A 2xx answer of at most `limit` bytes from `url`, or the error that says what is wrong.

    `family` and the host name the breaker that the fetch is under; NotNow passes through.
    """
    async with context.downstream(destination(family, url)) as call:
        response = await context.egress.get(url, limit=limit, timeout=timedelta(seconds=context.limits.source_timeout))
        call.answered(response.status, retry_after(response.headers.get("retry-after"), datetime.now(UTC)))
    if HTTPStatus(HTTPStatus.OK) <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        return response
    raise refusal(url, response, datetime.now(UTC))


def refusal(url: str, response: Response, now: datetime) -> HandlerError:
    """What an answer other than 2xx means for the job."""
    status, place = response.status, shown(url)
    if status in _GONE:
        return SourceNotFound(f"there is nothing at {place} (status {status}); check the URL")
    if status in _MENDABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        after = retry_after(response.headers.get("retry-after"), now)
        return SourceUnavailable(f"{place} cannot be fetched just now (status {status})", after=after)
    return SourceRefused(f"{place} was not handed out (status {status}); check the URL and who may read it")


def shown(url: str) -> str:
    """The URL as a message may show it: no query, no fragment and no password, for they hold people's secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:200]


async def _stored(context: Context, key: str, what: str) -> bytes:
    limit = context.limits.source_bytes
    try:
        size = await context.artifacts.size(key)
        if size > limit:
            raise TooLarge(f"the {what} has {size} bytes; at most {limit} are read")
        return await context.artifacts.get(key)
    except NotFound as error:
        raise SourceNotFound(f"the {what} does not exist (any more); upload it again") from error
