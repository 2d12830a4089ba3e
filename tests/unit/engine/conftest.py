from __future__ import annotations

from datetime import timedelta

import pytest
from engine_world import World

from holdfast.engine import execute


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses are a product of the wall clock; here they are short."""
    monkeypatch.setattr(execute, "PAUSES", (0.001, 0.002))
    monkeypatch.setattr(execute, "PATIENCE", timedelta(milliseconds=20))
