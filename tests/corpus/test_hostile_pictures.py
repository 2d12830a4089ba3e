"""Every hostile picture ends in the outcome that the corpus names, in time, and costs the pool at most its child."""

from __future__ import annotations

import time

import pytest

from corpus import disguises, images
from corpus.case import SUCCEEDED, Case
from corpus.hostile_world import HostileWorld, limits_for

pytestmark = pytest.mark.asyncio(loop_scope="module")
MARKS = (b"alert(", b"<?php", b"owned.txt", b"%PDF", b"\x7fELF", b"/etc/passwd")
"""What polyglots carry besides their picture; none of it may be in what is made of them."""


@pytest.mark.parametrize("case", [*images.cases(), *disguises.cases()], ids=lambda case: case.id)
async def test_a_hostile_picture_has_its_outcome(hostile: HostileWorld, case: Case) -> None:
    data, limits = case.make(), limits_for(case)
    hostile.artifacts.objects.clear()
    began = time.monotonic()
    outcome = await hostile.picture(data, case.options, limits)
    assert time.monotonic() - began < limits.image_timeout + 5
    assert outcome in case.outcomes
    assert (len(hostile.stored) > 0) == (outcome == SUCCEEDED)
    assert not [mark for mark in MARKS for made in hostile.stored if mark in made]
    assert await hostile.alive()
