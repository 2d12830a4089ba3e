"""A platform of each test's own, because each kills parts of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from slow_receiver import SlowReceiver

from harness import Platform
from holdfast.settings import Settings


@pytest.fixture
def fragile(own_settings: Settings, tmp_path: Path) -> Iterator[Platform]:
    """An api, and no worker yet; leases are short, so that a rescue can be waited for."""
    running = Platform(own_settings, tmp_path)
    try:
        running.start("api")
        running.wait_ready()
        yield running
    finally:
        running.stop_all()


@pytest.fixture
def slow() -> Iterator[SlowReceiver]:
    running = SlowReceiver()
    yield running
    running.close()
