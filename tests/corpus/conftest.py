"""One pool of children for a module of hostile inputs, looked at when they have all been through it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from corpus.breakouts import SECRET
from corpus.hostile_world import HostileWorld
from corpus.watch import DIALS, Traces, peak_of_children
from holdfast.adapters.isolation.pool import SubprocessIsolation
from holdfast.ports.limits import Limits


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hostile(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[HostileWorld]:
    """A world whose pool must have leaked nothing, and used no more than its limit, once the module is through."""
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "secret.txt").write_text(SECRET)
    tempfile.tempdir, kept = str(tmp_path_factory.mktemp("temporary")), tempfile.tempdir
    before = Traces.now()
    isolation = SubprocessIsolation(max_children=1)
    world = HostileWorld(isolation, folder)
    yield world
    await world.egress.close()
    await isolation.close()
    after = Traces.now()
    tempfile.tempdir = kept
    assert after == before
    assert peak_of_children() < Limits().image_memory


@pytest.fixture(autouse=True)
def _nothing_dialled() -> Iterator[None]:
    """No test of the corpus leaves loopback."""
    DIALS.seen.clear()
    yield
    assert DIALS.beyond() == []
