"""Where a job's input comes from, and what its absence means."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from holdfast.domain.errors import Rejected, TryLater
from holdfast.handlers.source import Source, load
from holdfast.ports.egress import TooLarge, Unreachable
from holdfast.ports.limits import Limits
from imagepdf_world import World

pytestmark = pytest.mark.asyncio(loop_scope="module")
URL = "https://user:secret@example.com/a.jpg?token=secret"


async def loaded(world: World, source: Any, limits: Limits | None = None) -> bytes:
    return await load(world.context(limits), Source.model_validate(source))


async def test_each_kind_of_source_is_loaded(world: World) -> None:
    world.web.serve(URL, b"from the web")
    job = uuid.uuid4()
    world.artifacts.objects[f"jobs/{job}/1/a.png"] = b"from a job"
    assert await loaded(world, {"url": URL}) == b"from the web"
    assert await loaded(world, world.upload(b"from an upload")) == b"from an upload"
    assert await loaded(world, {"artifact": {"job_id": str(job), "name": "a.png"}}) == b"from a job"


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, "SourceNotFound"), (410, "SourceNotFound"), (403, "SourceRefused"), (302, "SourceRefused")],
)
async def test_a_final_answer_rejects_without_telling_secrets(world: World, status: int, error: str) -> None:
    world.web.serve(URL, b"", status=status)
    with pytest.raises(Rejected) as caught:
        await loaded(world, {"url": URL})
    assert caught.value.error == error
    assert "https://example.com/a.jpg" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_a_passing_trouble_is_tried_later_as_asked(world: World, status: int) -> None:
    world.web.pages[URL] = (status, {"retry-after": "120"}, b"")
    with pytest.raises(TryLater) as caught:
        await loaded(world, {"url": URL})
    assert (caught.value.error, caught.value.after) == ("SourceUnavailable", timedelta(seconds=120))


async def test_no_answer_is_tried_later(world: World) -> None:
    with pytest.raises(Unreachable):
        await loaded(world, {"url": "https://nowhere.example/"})


async def test_missing_uploads_and_artifacts_reject(world: World) -> None:
    with pytest.raises(Rejected, match="does not exist"):
        await loaded(world, {"upload": str(uuid.uuid4())})
    with pytest.raises(Rejected):
        await loaded(world, {"artifact": {"job_id": str(uuid.uuid4()), "name": "x"}})


async def test_the_cap_holds_for_every_kind(world: World) -> None:
    limits = Limits(source_bytes=3)
    world.web.serve(URL, b"four")
    for source in ({"url": URL}, world.upload(b"four")):
        with pytest.raises(TooLarge):
            await loaded(world, source, limits)
