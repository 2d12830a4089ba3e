from __future__ import annotations

from collections.abc import Iterator

import pytest

from holdfast.settings import Settings
from own_database import own_settings


@pytest.fixture(scope="session")
def settings(services: dict[str, str]) -> Iterator[Settings]:
    """Away from the platform's own steward."""
    with own_settings(services) as found:
        yield found
