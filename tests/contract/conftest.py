from __future__ import annotations

from collections.abc import Iterator

import pytest
from ledger_stores import Stores

from holdfast.settings import Settings
from own_database import own_settings


@pytest.fixture(scope="session")
def settings(services: dict[str, str]) -> Iterator[Settings]:
    """Away from the platform's own steward."""
    with own_settings(services) as found:
        yield found


@pytest.fixture(params=["memory", "postgres"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """One scene on each adapter."""
    if request.param == "memory":
        return Stores.in_memory()
    return Stores.in_postgres(request.getfixturevalue("database"))
