from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent.parent / "image"))

from imagepdf_world import World

from holdfast.adapters.isolation.pool import SubprocessIsolation


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def isolation() -> AsyncIterator[SubprocessIsolation]:
    """One pool for a module: the engine is imported once, and again after a test that kills its child."""
    isolation = SubprocessIsolation(max_children=1)
    yield isolation
    await isolation.close()


@pytest.fixture
def world(isolation: SubprocessIsolation) -> World:
    return World(isolation)
