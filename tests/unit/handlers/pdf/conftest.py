from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from holdfast.adapters.isolation.pool import SubprocessIsolation
from imagepdf_world import World


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def isolation() -> AsyncIterator[SubprocessIsolation]:
    """One pool for a module: the engine is imported once, and again after a test that kills its child."""
    isolation = SubprocessIsolation(max_children=1)
    yield isolation
    await isolation.close()


@pytest.fixture
def world(isolation: SubprocessIsolation) -> World:
    return World(isolation)
