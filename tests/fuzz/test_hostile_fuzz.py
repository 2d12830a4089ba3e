"""Random pictures and documents: each has a typed outcome, and after all of them nothing is lost and nothing is left.

A failure names the seed and the number of its input, and keeps the input in a file.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from corpus.hostile_world import HostileWorld
from corpus.watch import DIALS, Traces, peak_of_children
from fuzz.mutations import document, picture
from holdfast.adapters.isolation.pool import SubprocessIsolation
from holdfast.ports.limits import Limits

LIMITS = Limits(image_timeout=2, pdf_timeout=2, image_pixels=20_000_000)
ANYWHERE = {"succeeded", "IsolatedTimeout", "MemoryLimit"}
PICTURES = {"NotAnImage", "ImageTruncated", "ImageDamaged", "TooManyPixels", "TooManyFrames", "TooManyScans"}
FORMATS = ("jpeg", "png", "webp", "gif", "avif")

Run = Callable[[HostileWorld, random.Random], Awaitable[tuple[bytes, str]]]


async def a_picture(world: HostileWorld, chance: random.Random) -> tuple[bytes, str]:
    data = picture(chance)
    variant = {"width": chance.choice((1, 16, 200)), "format": chance.choice(FORMATS)}
    return data, await world.picture(data, {"variant": variant}, LIMITS)


async def a_document(world: HostileWorld, chance: random.Random) -> tuple[bytes, str]:
    data = orjson.dumps({"html": document(chance)})
    return data, await world.document(data, LIMITS)


@pytest.mark.parametrize(
    ("run", "typed", "most"),
    [(a_picture, ANYWHERE | PICTURES | {"EncodingFailed"}, 600), (a_document, ANYWHERE | {"LayoutFailed"}, 75)],
    ids=["pictures", "documents"],
)
async def test_random_input_has_a_typed_outcome_and_leaves_nothing(
    run: Run,
    typed: set[str],
    most: int,
    seconds: float,
    endless: bool,
    fuzz_seed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    DIALS.seen.clear()
    before, seen = Traces.now(), Counter[str]()
    isolation = SubprocessIsolation(max_children=1)
    world = HostileWorld(isolation, tmp_path)
    end = time.monotonic() + seconds
    while time.monotonic() < end and (endless or seen.total() < most):
        number = seen.total()
        data, outcome = await run(world, random.Random(f"{fuzz_seed} {number}"))
        if outcome not in typed or not await world.alive():
            kept = Path.cwd() / f"fuzz-{fuzz_seed}-{number}"
            kept.write_bytes(data)
            pytest.fail(f"input {number} of seed {fuzz_seed} (kept as {kept}) came to {outcome}: {world.outcome}")
        seen[outcome] += 1
        world.artifacts.objects.clear()
    await world.egress.close()
    await isolation.close()
    print(f"\n{seen.total()} inputs: {dict(seen.most_common())}")
    left = Traces.now()
    assert left.descriptors <= before.descriptors, "what earlier tests had open may have been closed meanwhile"
    assert left.children <= before.children, "and what they had started may have ended"
    assert left.folders == before.folders
    assert DIALS.seen == []
    assert peak_of_children() < LIMITS.image_memory
    assert seen.total() > 1
    if run is a_picture:  # of a document nearly everything can be laid out
        assert len(seen) > 1, "a fuzz that comes to one outcome only is no fuzz"
