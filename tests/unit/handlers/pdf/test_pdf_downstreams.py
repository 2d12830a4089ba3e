"""A document whose assets' host is sick waits for what it requires, and does without the rest."""

from __future__ import annotations

from typing import Any, cast

import pytest

from holdfast.domain.errors import TryLater
from holdfast.handlers.isolated import blaming
from holdfast.handlers.pdf.assets import Assets
from holdfast.ports.downstreams import NotNow
from holdfast.ports.isolation import CrashCause, IsolatedCrash
from imagepdf_world import World

LOGO = "https://cdn.example.com/logo.png"


@pytest.fixture
async def sick() -> World:
    """The host of the logo has failed ten times."""
    world = World(cast("Any", None))
    for _ in range(10):
        with pytest.raises(TryLater):
            async with world.downstreams.call("pdf-asset:cdn.example.com"):
                raise TryLater("no answer")
    await world.downstreams.tell()
    world.web.serve(LOGO, b"picture")
    return world


async def test_an_asset_that_may_not_be_fetched_now_is_left_out_with_the_reason(sick: World) -> None:
    assets = Assets(sick.context(), required=False)
    await assets.get([LOGO])
    assert "pdf-asset:cdn.example.com may not be called now" in assets.found[LOGO]["error"]
    assert sick.web.asked == []


async def test_a_document_that_requires_it_is_parked(sick: World) -> None:
    with pytest.raises(NotNow):
        await Assets(sick.context(), required=True).get([LOGO])


@pytest.mark.parametrize("cause", CrashCause)
async def test_only_deaths_that_are_the_engines_own_fault_speak_against_it(cause: CrashCause) -> None:
    world = World(cast("Any", None))
    for _ in range(6):
        with pytest.raises(IsolatedCrash):
            async with world.downstreams.call("pdf-engine:weasyprint") as call:
                with blaming(call):
                    raise IsolatedCrash("it died", cause=cause)
    await world.downstreams.tell()
    try:
        async with world.downstreams.call("pdf-engine:weasyprint"):
            opened = False
    except NotNow:
        opened = True
    assert opened == (cause in {CrashCause.KILLED, CrashCause.SURPRISE})
